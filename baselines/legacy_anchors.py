"""Anchors as Faster R-CNN's first program made them: rounded, and around the middle of the pixels of a cell.

CoAE and maskrcnn-benchmark have them, and so have the weights published for them. Boxes are ``x1, y1, x2, y2`` in
pixels and cover both ends, as in :mod:`baselines.legacy_boxes`.

Shapes: A anchors of a cell, H x W cells, N = H W A anchors of a feature map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from os2d.structures.sizes import Size


def cell_anchors(stride: int, scales: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Return the anchors of the first cell, A x 4 float32: for every ratio of height to width, every scale.

    Args:
        stride: pixels per cell; a square of this side is brought to each ratio in whole pixels, and then scaled.
        scales: sides of the anchors, in strides.
        ratios: of height to width.
    """
    ratios_A = torch.tensor(list(ratios), dtype=torch.float64).repeat_interleave(len(scales))
    scales_A = torch.tensor(list(scales), dtype=torch.float64).repeat(len(ratios))
    widths_A = (stride**2 / ratios_A).sqrt().round()  # half to even, on which the anchors of published networks depend
    heights_A = (widths_A * ratios_A).round()
    half_A2 = (torch.stack([widths_A, heights_A], dim=1) * scales_A[:, None] - 1) / 2
    center = (stride - 1) / 2
    return torch.cat([center - half_A2, center + half_A2], dim=1).float()


def grid_anchors(cell_A4: Tensor, cells: Size, stride: int) -> Tensor:
    """Return the anchors of a feature map of so many cells, N x 4: row by row, all anchors of a cell together."""
    x_W = torch.arange(cells.w, dtype=torch.float32, device=cell_A4.device) * stride
    y_H = torch.arange(cells.h, dtype=torch.float32, device=cell_A4.device) * stride
    y_HW, x_HW = torch.meshgrid(y_H, x_W, indexing="ij")
    shift_HW4 = torch.stack([x_HW, y_HW, x_HW, y_HW], dim=-1)
    return (shift_HW4[:, :, None] + cell_A4).flatten(0, 2)
