"""Fitting a network's first filter to images that are normalised in another way.

This project feeds RGB in [0, 1] with the mean taken off and divided by ``STD``. A filter for other units gives the same
answers when every channel is scaled by the quotient of the units. The means cannot be converted: a shift of the
input is not a change of the filter at the image border, so it stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

STD = (0.229, 0.224, 0.225)
"""RGB, after scaling to [0, 1]: ``model.normalization_std``."""


def from_bytes(weight_OIHW: Tensor) -> Tensor:
    """Return the filter (O, 3, h, w) for normalised RGB of one for BGR in [0, 255]."""
    rgb_OIHW = weight_OIHW.flip(1) * 255.0
    return (rgb_OIHW.double() * torch.tensor(STD, dtype=torch.float64)[:, None, None]).to(weight_OIHW.dtype)


def from_scaled_bytes(weight_OIHW: Tensor, pixel_std: Sequence[float], is_bgr: bool) -> Tensor:
    """Return the filter (O, 3, h, w) for normalised RGB of one for values in [0, 255] divided by ``pixel_std``.

    Args:
        weight_OIHW: its channels in the order of the network's own images.
        pixel_std: in the same order.
        is_bgr: the order is blue, green, red.
    """
    channels = [weight_OIHW[:, c] * 255.0 / std for c, std in enumerate(pixel_std)]
    rgb = channels[::-1] if is_bgr else channels
    return torch.stack([channel * std for channel, std in zip(rgb, STD, strict=True)], dim=1)
