"""A deformable convolution made of sampling and a 1 x 1 convolution, for runtimes without DeformConv (opset < 19).

Shapes: B images, C channels, H x W cells, P = 9 points of the kernel, row by row.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, grid_sample

from baselines.onenet.modeling.neck import POINTS, DeformableConv2d


class SampledConv2d(nn.Module):
    """Does what :class:`~baselines.onenet.modeling.neck.DeformableConv2d` does."""

    def __init__(self, convolution: DeformableConv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(convolution.weight.detach().flatten(1)[:, :, None, None], requires_grad=False)
        self.bias = convolution.bias

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor | None) -> Tensor:
        """Return (B, out, H, W); see the layer it replaces."""
        channels, height, width = x.shape[1:]
        points = torch.arange(POINTS, device=x.device)
        y_PHW = torch.arange(height, device=x.device)[:, None] + (points // 3 - 1)[:, None, None]
        x_PHW = torch.arange(width, device=x.device)[None, :] + (points % 3 - 1)[:, None, None]
        # Cell centres of a map from -1 to 1: its border is that of the outermost cells, as align_corners=False says.
        y_BPHW = (2 * (offset[:, 0::2] + y_PHW) + 1) / height - 1
        x_BPHW = (2 * (offset[:, 1::2] + x_PHW) + 1) / width - 1
        places = torch.stack((x_BPHW, y_BPHW), dim=-1).flatten(1, 2)
        sampled = grid_sample(x, places, mode="bilinear", padding_mode="zeros", align_corners=False)
        sampled_BCPHW = sampled.unflatten(2, (POINTS, height))
        if mask is not None:
            sampled_BCPHW = sampled_BCPHW * mask[:, None]
        return conv2d(sampled_BCPHW.reshape(-1, channels * POINTS, height, width), self.weight, self.bias)
