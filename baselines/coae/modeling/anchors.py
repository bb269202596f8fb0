"""The anchors of the region proposal network.

Legend: A anchors per cell, H x W cells; boxes are ``x1, y1, x2, y2`` in pixels and cover both ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from baselines.coae.modeling.resnet import STRIDE


def base_anchors(scales: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Return the anchors of the first cell, A x 4: for every ratio of height to width, every scale."""
    areas = STRIDE * STRIDE
    ratios_A = torch.tensor(ratios, dtype=torch.float64).repeat_interleave(len(scales))
    scales_A = torch.tensor(scales, dtype=torch.float64).repeat(len(ratios))
    widths_A = (areas / ratios_A).sqrt().round()  # half to even, on which the anchors of published networks depend
    heights_A = (widths_A * ratios_A).round()
    sides_A2 = torch.stack([widths_A, heights_A], dim=1) * scales_A[:, None]
    center = (STRIDE - 1) / 2
    half_A2 = (sides_A2 - 1) / 2
    return torch.cat([center - half_A2, center + half_A2], dim=1).float()


def grid_anchors(base_A4: Tensor, height: int, width: int) -> Tensor:
    """Return the anchors of a feature map, (H W A) x 4: row by row, all anchors of a cell together."""
    y_H = torch.arange(height, device=base_A4.device) * STRIDE
    x_W = torch.arange(width, device=base_A4.device) * STRIDE
    y_HW, x_HW = torch.meshgrid(y_H, x_W, indexing="ij")
    shifts_HW4 = torch.stack([x_HW, y_HW, x_HW, y_HW], dim=-1)
    return (shifts_HW4[:, :, None] + base_A4).flatten(0, 2)
