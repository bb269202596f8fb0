"""From the second stage's numbers to detections.

Shapes: N proposals of an image, C classes with the background, M boxes of all classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from yacs.config import CfgNode

from baselines.detector_retrieval.detector.structures import Detections, Proposals
from baselines.legacy_boxes import LegacyBoxCoder, clip, suppress_legacy
from os2d.structures.sizes import Size


class ClassBoxes(NamedTuple):
    """The box and the score of every proposal of an image for every class, before any is dropped."""

    boxes_NC4: Tensor
    scores_NC: Tensor
    size: Size


def class_boxes(
    coder: LegacyBoxCoder, logits_NC: Tensor, codes_NC4: Tensor, proposals_N4: Tensor, size: Size
) -> ClassBoxes:
    """Return the boxes that the second stage's numbers describe, cut to the image."""
    boxes_NC4 = coder.decode(codes_NC4, proposals_N4[:, None])
    return ClassBoxes(clip(boxes_NC4, size), logits_NC.softmax(dim=-1), size)


@dataclass(frozen=True)
class DetectionFilter:
    """What remains of the boxes of all classes.

    Args:
        score: boxes must score more.
        nms_iou: a box that overlaps a better one of its class by more is dropped.
        most: boxes of all classes that remain, more only with equal scores; 0: all.
    """

    score: float
    nms_iou: float
    most: int

    @staticmethod
    def from_config(config: CfgNode) -> DetectionFilter:
        """Return the filter of ``MODEL.ROI_HEADS``."""
        heads = config.MODEL.ROI_HEADS
        return DetectionFilter(heads.SCORE_THRESH, heads.NMS, heads.DETECTIONS_PER_IMG)

    def __call__(self, boxes_NC4: Tensor, scores_NC: Tensor) -> Detections:
        """Return the detections class by class, within a class in the order of the proposals."""
        found = [self._of_class(boxes_NC4[:, c], scores_NC[:, c]) for c in range(1, scores_NC.shape[1])]
        boxes_M4, scores_M = (torch.cat(parts) for parts in zip(*found, strict=True))
        counts = torch.tensor([len(of_class.scores_N) for of_class in found], device=scores_M.device)
        labels_M = torch.arange(1, len(found) + 1, device=scores_M.device).repeat_interleave(counts)
        if 0 < self.most < len(scores_M):
            kept = scores_M >= scores_M.topk(self.most).values[-1]
            boxes_M4, scores_M, labels_M = boxes_M4[kept], scores_M[kept], labels_M[kept]
        return Detections(boxes_M4, scores_M, labels_M)

    def _of_class(self, boxes_N4: Tensor, scores_N: Tensor) -> Proposals:
        above = scores_N > self.score
        boxes_N4, scores_N = boxes_N4[above], scores_N[above]
        kept = suppress_legacy(boxes_N4, scores_N, self.nms_iou).sort().values
        return Proposals(boxes_N4[kept], scores_N[kept])
