"""Anchor boxes of the levels of a feature pyramid, rounded and centred as maskrcnn-benchmark does.

Shapes: K anchors of a cell, A anchors of a level (cells row by row, K for each).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from baselines.legacy_anchors import cell_anchors, grid_anchors
from os2d.structures.sizes import Size


class AnchorGenerator(nn.Module):
    """Anchors of every level; those of one cell are buffers, as in published checkpoints."""

    def __init__(self, sizes: Sequence[float], strides: Sequence[int], ratios: Sequence[float]) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.cell_anchors = nn.Module()
        for level, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
            self.cell_anchors.register_buffer(str(level), cell_anchors(stride, [size / stride], ratios))

    @property
    def per_cell(self) -> int:
        """K, how many anchors a cell has."""
        return len(self.cell_anchors.get_buffer("0"))

    def forward(self, grids: Sequence[Size]) -> list[Tensor]:
        """Return the anchors (A, 4) of every level, given the sizes of its feature maps in cells."""
        levels = zip(self.cell_anchors.buffers(), grids, self.strides, strict=True)
        return [grid_anchors(cell_K4, grid, stride) for cell_K4, grid, stride in levels]


def inside(anchors_A4: Tensor, size: Size, margin: float) -> Tensor:
    """Return which anchors (A,) leave the image by less than ``margin`` pixels; all of them if it is negative."""
    if margin < 0:
        return torch.ones(len(anchors_A4), dtype=torch.bool, device=anchors_A4.device)
    left, top, right, bottom = anchors_A4.unbind(dim=1)
    return (left >= -margin) & (top >= -margin) & (right < size.w + margin) & (bottom < size.h + margin)
