"""How much candidates overlap annotated boxes, with the two special cases that published weights were trained with.

Legend: B images, N candidates, G annotated boxes, zero boxes where an image has fewer; boxes cover both end pixels.
"""

from __future__ import annotations

from torch import Tensor

from baselines.legacy_boxes import iou, sides

NOTHING = -1.0
"""Overlap of a candidate of one pixel, which is neither foreground nor background."""


def overlaps(candidates_BN4: Tensor, truth_BG4: Tensor) -> Tensor:
    """Return the overlap of every candidate with every annotated box, B x N x G.

    An annotated box of one pixel, which is how the rows that fill up a batch look, has none.
    """
    overlap_BNG = iou(candidates_BN4, truth_BG4)
    overlap_BNG = overlap_BNG.masked_fill(is_one_pixel(truth_BG4)[..., None, :], 0.0)
    return overlap_BNG.masked_fill(is_one_pixel(candidates_BN4)[..., :, None], NOTHING)


def is_one_pixel(boxes: Tensor) -> Tensor:
    """Return which boxes (..., 4) have sides of one pixel."""
    return (sides(boxes) == 1).all(dim=-1)
