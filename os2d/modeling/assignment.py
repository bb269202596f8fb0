"""Which annotated box an anchor belongs to, for every label at once (OS2D, section 4.3).

Shapes: L labels, P labels that have a box, N boxes, A anchors.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from os2d.structures.boxes import BoxList

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


class LabelledBoxes(NamedTuple):
    """The boxes of the labels in use.

    Attributes:
        boxes_xyxy: (N, 4).
        difficult: (N,) bool.
        labels: (P,) the labels that have a box, increasing.
        row: (N,) place of the label of each box in ``labels``.
    """

    boxes_xyxy: Tensor
    difficult: Tensor
    labels: Tensor
    row: Tensor


class Match(NamedTuple):
    """The largest overlap of each anchor with a box of each label, and the first box that has it; both P x A."""

    iou: Tensor
    box: Tensor


def boxes_in_use(gt: BoxList, num_labels: int) -> LabelledBoxes:
    """Return the boxes whose label is one of ``0..num_labels - 1``."""
    labels = gt.field("labels")
    in_use = (labels >= 0) & (labels < num_labels)
    labels_P, row_N = labels[in_use].unique(return_inverse=True)
    return LabelledBoxes(gt.boxes_xyxy[in_use], gt.field("difficult")[in_use].bool(), labels_P.long(), row_N)


def match_boxes(iou_NA: Tensor, boxes: LabelledBoxes) -> Match:
    """Return the largest overlap of each anchor with the boxes of each label, and the first box that has it."""
    # A diverged network predicts boxes that are not numbers: they overlap with nothing, and the loss will tell.
    iou_NA = iou_NA.nan_to_num(nan=0.0)
    num_boxes, num_anchors = iou_NA.shape
    row_NA = boxes.row[:, None].expand_as(iou_NA)
    iou_PA = iou_NA.new_zeros(len(boxes.labels), num_anchors).scatter_reduce(0, row_NA, iou_NA, "amax")
    number_N1 = torch.arange(num_boxes, device=iou_NA.device)[:, None]
    rank_NA = torch.where(iou_NA == iou_PA[boxes.row], number_N1, num_boxes)
    none_PA = torch.full_like(iou_PA, num_boxes, dtype=torch.int64)
    return Match(iou_PA, none_PA.scatter_reduce(0, row_NA, rank_NA, "amin"))


def first_box_of_each_label(boxes: LabelledBoxes) -> Tensor:
    """Return the index of the first box of each label that has one, P."""
    number_N = torch.arange(len(boxes.row), device=boxes.row.device)
    none_P = torch.full_like(boxes.labels, len(boxes.row))
    return none_P.scatter_reduce(0, boxes.row, number_N, "amin")


def classify(match: Match, difficult_N: Tensor, positive_iou: float, negative_iou: float) -> Tensor:
    """Return the class targets of matched anchors, P x A; an anchor on a difficult box is ignored."""
    targets = torch.full_like(match.box, IGNORED)
    targets[match.iou < negative_iou] = NEGATIVE
    if len(difficult_N):
        targets[(match.iou >= positive_iou) & ~difficult_N[match.box]] = POSITIVE
    return targets
