"""Convolutions of 1 x 1 on rows of channels.

Legend: N rows, C and D channels before and after.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pointwise(rows_NC: Tensor, weight_DC: Tensor, bias_D: Tensor | None = None) -> Tensor:
    """Return ``rows_NC @ weight_DC.T + bias_D``, N x D, for any number of leading dimensions.

    It is computed as a convolution: on a CPU those of torch come from a library that knows the processors of all
    makers (oneDNN), whereas that of its matrix products (MKL) is half as fast on AMD's.
    """
    *leading, channels = rows_NC.shape
    if rows_NC.numel() == 0:  # torch's convolutions refuse an empty map
        return rows_NC.new_empty(*leading, len(weight_DC))
    maps = rows_NC.reshape(1, -1, 1, channels).permute(0, 3, 1, 2)
    outputs = torch.conv2d(maps, weight_DC[:, :, None, None], bias_D)
    return outputs.permute(0, 2, 3, 1).reshape(*leading, len(weight_DC))
