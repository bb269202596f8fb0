"""From descriptors of classes and boxes to detections.

Shapes: C classes, V views of a class image, N boxes of an image, D channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from os2d.structures.boxes import BoxList
from os2d.structures.suppression import suppress, suppress_runs


@dataclass(frozen=True, eq=False)
class ClassDescriptors:
    """The unit descriptors of every view of every class image.

    Args:
        class_ids: C ids, rising.
        vectors_CVD: one per view.
    """

    class_ids: Tensor
    vectors_CVD: Tensor

    def scores(self, vectors_ND: Tensor) -> Tensor:
        """Return how well every box fits every class: the score of the best view, C x N."""
        return torch.einsum("cvd,nd->cvn", self.vectors_CVD, vectors_ND).amax(dim=1)


@dataclass(frozen=True)
class Suppression:
    """Which detections of an image stay.

    Args:
        iou_threshold: detections that overlap a better one by more are dropped.
        score_threshold: only those with a higher score count.
        across_classes: a detection may suppress those of other classes.
    """

    iou_threshold: float
    score_threshold: float
    across_classes: bool = False


def detections(boxes: BoxList, scores_CN: Tensor, class_ids: Tensor, suppression: Suppression) -> BoxList:
    """Return the detections of an image, class by class in rising order, in each by falling score.

    Every box is a candidate for every class; views of a class share a box, so the best of them stands for all. Fields
    ``labels`` (class ids) and ``scores``.
    """
    number_C, number_N = torch.nonzero(scores_CN > suppression.score_threshold, as_tuple=True)
    candidates = BoxList(
        boxes.boxes_xyxy[number_N],
        boxes.size,
        {"labels": class_ids.to(number_C.device)[number_C], "scores": scores_CN[number_C, number_N]},
    )
    columns = candidates.boxes_xyxy, candidates.field("scores")
    if suppression.across_classes:
        return candidates[suppress(*columns, suppression.iou_threshold)]
    lengths = torch.bincount(number_C, minlength=len(class_ids)).tolist()
    return candidates[suppress_runs(*columns, lengths, suppression.iou_threshold)]
