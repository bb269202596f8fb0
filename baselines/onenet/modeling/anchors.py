"""Anchors: boxes of fixed sizes at every cell, and boxes predicted relative to them.

Shapes: B images, A anchors of a cell, L anchors of an image, those of a cell side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt

import torch
from torch import Tensor, nn

from baselines.onenet.modeling.locations import grid

LARGEST_LOG_SCALE = log(1000 / 16)
"""A predicted side is at most so much longer than the anchor's; the exponential would overflow without a limit."""


class AnchorGenerator(nn.Module):
    """The anchors of several levels; those of a cell at 0, 0 are buffers and part of checkpoints."""

    def __init__(
        self,
        sizes: Sequence[Sequence[float]],
        aspect_ratios: Sequence[Sequence[float]],
        strides: Sequence[int],
        offset: float,
    ) -> None:
        """Prepare the anchors.

        Args:
            sizes: of every level, or one list for all; square root of the area, in pixels.
            aspect_ratios: height / width, likewise.
            strides: of the levels, in pixels.
            offset: of an anchor's centre from the upper left corner of its cell, in strides.
        """
        super().__init__()
        self.strides, self.offset = tuple(strides), offset
        self.cell_anchors = _Buffers(
            [
                cell_anchors(of_level, ratios)
                for of_level, ratios in zip(
                    _per_level(sizes, len(strides)), _per_level(aspect_ratios, len(strides)), strict=True
                )
            ]
        )

    @property
    def per_cell(self) -> int:
        """How many anchors a cell has, on every level."""
        return len(next(self.cell_anchors.buffers()))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the anchors of every level, 4 x L."""
        anchors = []
        for x, stride, cell_A4 in zip(features, self.strides, self.cell_anchors.buffers(), strict=True):
            centres_2L = grid(x.shape[-2], x.shape[-1], stride, self.offset * stride, like=x)
            anchors_4LA = cell_A4.T[:, None, :] + centres_2L.repeat(2, 1)[:, :, None]
            anchors.append(anchors_4LA.flatten(1))
        return anchors


class _Buffers(nn.Module):
    """Buffers under the names 0, 1, ..."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()
        for number, tensor in enumerate(tensors):
            self.register_buffer(str(number), tensor)


def cell_anchors(sizes: Sequence[float], aspect_ratios: Sequence[float]) -> Tensor:
    """Return the anchors around 0, 0, A x 4: for every size every ratio of height to width."""
    anchors = []
    for size in sizes:
        for ratio in aspect_ratios:
            width = sqrt(size**2 / ratio)
            height = ratio * width
            anchors.append([-width / 2, -height / 2, width / 2, height / 2])
    return torch.tensor(anchors, device="cpu")  # also while a network is laid out without memory


def boxes_from_deltas(anchors_4L: Tensor, deltas_B4L: Tensor) -> Tensor:
    """Return the boxes that differ so from their anchors, B x 4 x L: shift in anchor sides, logarithm of scale."""
    deltas_B4L = deltas_B4L.float()
    sides_2L = anchors_4L[2:] - anchors_4L[:2]
    centres_2L = anchors_4L[:2] + 0.5 * sides_2L
    predicted_centres_B2L = deltas_B4L[:, :2] * sides_2L + centres_2L
    half_sides_B2L = 0.5 * deltas_B4L[:, 2:].clamp(max=LARGEST_LOG_SCALE).exp() * sides_2L
    return torch.cat((predicted_centres_B2L - half_sides_B2L, predicted_centres_B2L + half_sides_B2L), dim=1)


def _per_level(values: Sequence[Sequence[float]], levels: int) -> Sequence[Sequence[float]]:
    return list(values) * levels if len(values) == 1 else values
