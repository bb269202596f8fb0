"""The images in which a network does worst and best: what people want to see of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from os2d.engine.average_precision import evaluate_detections
from os2d.structures.boxes import BoxList

FOUND_IOU = 0.5


class RankedImage(NamedTuple):
    """An image of an evaluation: its number there, and the average precision of all its detections in one ranking."""

    number: int
    average_precision: float


def worst_and_best(
    detections: Sequence[BoxList], ground_truth: Sequence[BoxList], count: int
) -> tuple[list[RankedImage], list[RankedImage]]:
    """Return at most ``count`` images each, the worst one and the best one first; no image is in both.

    Of equals the one with more boxes comes first, then the earlier one. Images with nothing to find have no rank.
    """
    boxes = [len(truth) for truth in ground_truth]
    found = [
        RankedImage(number, _average_precision(*of_image))
        for number, of_image in enumerate(zip(detections, ground_truth, strict=True))
        if boxes[number]
    ]
    ranked = [image for image in found if not np.isnan(image.average_precision)]
    rising = sorted(ranked, key=lambda image: (image.average_precision, -boxes[image.number], image.number))
    worst = rising[: min(count, (len(rising) + 1) // 2)]
    left = [image for image in ranked if image not in worst]
    falling = sorted(left, key=lambda image: (-image.average_precision, -boxes[image.number], image.number))
    return worst, falling[:count]


def _average_precision(found: BoxList, truth: BoxList) -> float:
    return evaluate_detections([found], [truth], [FOUND_IOU])[FOUND_IOU].ap_pooled_classes
