"""Where predictions are made: the cells of feature maps as points of the image, and boxes around them.

Shapes: B images, H x W cells, L cells of an image row by row.
"""

from __future__ import annotations

import torch
from torch import Tensor


def grid(height: int, width: int, stride: int, offset: float, like: Tensor) -> Tensor:
    """Return the points ``x, y`` of the cells, 2 x L.

    Args:
        height: H, in cells.
        width: W, in cells.
        stride: pixels per cell.
        offset: of a point from the upper left corner of its cell, in pixels.
        like: a tensor of the wanted device.
    """
    x_W = torch.arange(width, device=like.device, dtype=torch.float32) * stride + offset
    y_H = torch.arange(height, device=like.device, dtype=torch.float32) * stride + offset
    return torch.stack((x_W[None, :].expand(height, -1), y_H[:, None].expand(-1, width))).flatten(1)


def boxes_around(points_2L: Tensor, distances_B4L: Tensor) -> Tensor:
    """Return the boxes that reach so far to the left, up, right and down of their points, B x 4 x L."""
    left_top_B2L, right_bottom_B2L = distances_B4L.float().split(2, dim=1)
    return torch.cat((points_2L - left_top_B2L, points_2L + right_bottom_B2L), dim=1)
