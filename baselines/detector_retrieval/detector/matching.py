"""Which boxes learn from which objects: matching by overlap, and drawing as many as a loss takes.

Shapes: G objects of an image, N anchors or proposals.
"""

from __future__ import annotations

import torch
from torch import Tensor

NEGATIVE, IGNORED = -1, -2
"""In place of the number of an object: the box is background, or neither."""


def match(iou_GN: Tensor, positive_iou: float, negative_iou: float) -> Tensor:
    """Return for every box (N,) the object it overlaps most, ``NEGATIVE`` or ``IGNORED``; G is at least 1."""
    best_N, object_N = iou_GN.max(dim=0)
    matched_N = torch.where(best_N < positive_iou, IGNORED, object_N)
    return torch.where(best_N < negative_iou, NEGATIVE, matched_N)


def match_every_object(iou_GN: Tensor, positive_iou: float, negative_iou: float) -> Tensor:
    """Return what :func:`match` does, but let every object have the boxes that overlap it most, however little.

    Such a box is matched with its own best object, which may be another one.
    """
    is_best_N = (iou_GN == iou_GN.max(dim=1, keepdim=True).values).any(dim=0)
    return torch.where(is_best_N, iou_GN.max(dim=0).indices, match(iou_GN, positive_iou, negative_iou))


def draw_balanced(
    labels_N: Tensor, count: int, positive_fraction: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the indices of the positives (labels above 0) and negatives (0) that were drawn, each in rising order.

    Args:
        labels_N: on the CPU, where the generator draws.
        count: at most so many altogether; what positives leave free is filled with negatives.
        positive_fraction: at most this share of them is positive.
        generator: positives are drawn first.
    """
    positives, negatives = (labels_N >= 1).nonzero().squeeze(1), (labels_N == 0).nonzero().squeeze(1)
    num_positives = min(len(positives), int(count * positive_fraction))
    drawn_positives = positives[torch.randperm(len(positives), generator=generator)[:num_positives]]
    drawn_negatives = negatives[torch.randperm(len(negatives), generator=generator)[: count - num_positives]]
    return drawn_positives.sort().values, drawn_negatives.sort().values
