"""What is found of several classes in one image: features of the image once per scale, those of a query once per class.

Legend: Q queries (views of classes), K classes of V views each, P proposals of a query, L scales, N boxes of a class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from yacs.config import CfgNode

from baselines.coae.data.eval_images import EvalImage
from baselines.coae.modeling.matching import ImageLevel, Matcher, QueryFeatures
from baselines.coae.modeling.model import Scored
from baselines.coae.modeling.rpn import CODER, clip_to_sizes
from baselines.legacy_boxes import suppress_legacy
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size


@dataclass(frozen=True)
class DetectionRule:
    """Which of the scored boxes are detections.

    Args:
        delta_stds: one unit of a predicted code.
        score_threshold: scores must be strictly greater.
        iou_threshold: overlap from which a better box of the same class suppresses another.
        max_detections: per image and class; equal scores may make it more.
        classes_at_once: that meet an image together.
    """

    delta_stds: tuple[float, ...]
    score_threshold: float
    iou_threshold: float
    max_detections: int
    classes_at_once: int

    @staticmethod
    def from_config(config: CfgNode) -> DetectionRule:
        """Return the rule of a configuration."""
        return DetectionRule(
            tuple(config.model.delta_stds),
            config.eval.nms_score_threshold,
            config.eval.nms_iou_threshold,
            config.eval.max_detections,
            config.runtime.classes_at_once,
        )


@torch.no_grad()
def detect(
    matcher: Matcher, image: EvalImage, queries: QueryFeatures, class_ids: Sequence[int], rule: DetectionRule
) -> BoxList:
    """Return what is found of every class in an image, on the CPU, with fields ``scores`` and ``labels``.

    Args:
        matcher: the network.
        image: at every scale.
        queries: of the classes, all views of a class together.
        class_ids: of the K classes.
        rule: which boxes are detections.
    """
    levels = [matcher.see(level_3hw) for level_3hw in image.levels]
    return detect_in_levels(matcher, levels, image, queries, class_ids, rule)


@torch.no_grad()
def detect_in_levels(
    matcher: Matcher,
    levels: Sequence[ImageLevel],
    image: EvalImage,
    queries: QueryFeatures,
    class_ids: Sequence[int],
    rule: DetectionRule,
) -> BoxList:
    """Return what :func:`detect` does, for an image that the network has seen at every scale."""
    views = len(queries) // max(len(class_ids), 1)
    found: list[BoxList] = [_nothing(image.size)]
    for start in range(0, len(class_ids), rule.classes_at_once):
        ids = class_ids[start : start + rule.classes_at_once]
        of_chunk = queries[start * views : (start + len(ids)) * views]
        boxes_KN4, scores_KN = _boxes_of_classes(matcher, levels, image.factors, of_chunk, len(ids), rule)
        for class_id, boxes_N4, scores_N in zip(ids, boxes_KN4.cpu(), scores_KN.cpu(), strict=True):
            found.append(detections_of_class(boxes_N4, scores_N, class_id, image.size, rule))
    return BoxList.cat(found)


def _boxes_of_classes(
    matcher: Matcher,
    levels: Sequence[ImageLevel],
    factors: Sequence[float],
    queries: QueryFeatures,
    num_classes: int,
    rule: DetectionRule,
) -> tuple[Tensor, Tensor]:
    """Return the boxes K x N x 4 and scores K x N of every class, in pixels of the image on disk."""
    boxes, scores = [], []
    for level, factor in zip(levels, factors, strict=True):
        scored = matcher.match(level, queries)
        boxes_QP4 = to_image(scored, level.size_12, factor, rule.delta_stds)
        boxes.append(boxes_QP4.reshape(num_classes, -1, 4))
        scores.append(scored.scores_BP.reshape(num_classes, -1))
    return torch.cat(boxes, dim=1), torch.cat(scores, dim=1)


def to_image(scored: Scored, size_12: Tensor, factor: float, delta_stds: Sequence[float]) -> Tensor:
    """Return the boxes of scored proposals, Q x P x 4, in pixels of the image on disk.

    Args:
        scored: at one scale.
        size_12: height and width of the image at that scale.
        factor: from pixels on disk to that scale.
        delta_stds: one unit of a predicted code.
    """
    codes_QP4 = scored.deltas_BP4 * scored.deltas_BP4.new_tensor(delta_stds)
    return clip_to_sizes(CODER.decode(codes_QP4, scored.regions_BP4), size_12) / factor


def detections_of_class(boxes_N4: Tensor, scores_N: Tensor, class_id: int, size: Size, rule: DetectionRule) -> BoxList:
    """Return the boxes of a class that are left by the thresholds and by non-maximum suppression."""
    passing = scores_N > rule.score_threshold
    boxes_N4, scores_N = boxes_N4[passing], scores_N[passing]
    kept = suppress_legacy(boxes_N4, scores_N, rule.iou_threshold)
    kept = kept[scores_N[kept] >= lowest_kept_score(scores_N[kept], rule.max_detections)]
    fields = {"scores": scores_N[kept], "labels": torch.full((len(kept),), class_id)}
    return BoxList(boxes_N4[kept], size, fields)


def lowest_kept_score(falling_N: Tensor, max_detections: int) -> float:
    """Return the score that a detection must have where more are found than wanted."""
    return float(falling_N[max_detections - 1]) if len(falling_N) > max_detections else -torch.inf


def _nothing(size: Size) -> BoxList:
    fields = {"scores": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64)}
    return BoxList(torch.zeros(0, 4), size, fields)
