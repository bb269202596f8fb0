"""Precision over recall: of one ranking of detections, of a data set, and as a file that others draw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RECALLS = np.linspace(0.0, 1.0, 101)
"""Where the curves are given, as COCO does."""

DIGITS = 5
"""Behind the decimal point of a precision in a file."""

POOLED, MEAN = "pooled_classes", "mean_over_classes"
"""Names of the curves: of the detections of all classes in one ranking; mean of the curves of the classes."""


@dataclass(frozen=True)
class PrecisionRecall:
    """Interpolated precision at :data:`RECALLS`: the best precision at that recall or a higher one; 0 out of reach.

    ``pooled`` is of the detections of all classes in one ranking, ``mean`` the mean of the curves of the classes that
    have something to find.
    """

    pooled: NDArray[np.float64]
    mean: NDArray[np.float64]


def interpolated_precision(hit_ranks: NDArray[np.integer], ignored_ranks: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the best precision from each hit on, by falling score.

    Precision falls between two hits and recall stands still, so the hits alone determine the curve.

    >>> interpolated_precision(np.array([0, 3]), np.array([], dtype=int)).tolist()  # hit, miss, miss, hit
    [1.0, 0.5]

    Args:
        hit_ranks: how many detections stand before each of those that find a box.
        ignored_ranks: the same for those that do not count at all.
    """
    ranks = np.sort(hit_ranks)
    hits_so_far = np.arange(1, len(ranks) + 1)
    precision = hits_so_far / (ranks + 1 - np.searchsorted(np.sort(ignored_ranks), ranks))
    return np.maximum.accumulate(precision[::-1])[::-1]


def precision_at(recalls: NDArray[np.float64], envelope: NDArray[np.float64], positives: int) -> NDArray[np.float64]:
    """Return the interpolated precision at some recalls, zero at those that are never reached."""
    reached = np.searchsorted(np.arange(1, len(envelope) + 1) / positives, recalls)
    return np.append(envelope, 0.0)[reached]


def curve_file(dataset: str) -> str:
    """Return the name of the artifact with the curves of a data set."""
    return f"precision_recall/{dataset}.json"


class Curve(NamedTuple):
    """Precision at :data:`RECALLS`, and the exact average precision that belongs to it, from 0 to 1."""

    precision: NDArray[np.float64]
    average_precision: float


def curves_json(dataset: str, iou_threshold: float, curves: Mapping[str, Curve]) -> str:
    """Return named curves of a data set as JSON; what is not defined, nothing being to find, is null."""
    content = {
        "dataset": dataset,
        "iou_threshold": iou_threshold,
        "recall": [round(recall, 2) for recall in RECALLS.tolist()],
        "curves": {
            name: {
                "precision": [_number(value) for value in curve.precision.tolist()],
                "average_precision": _number(curve.average_precision),
            }
            for name, curve in curves.items()
        },
    }
    return json.dumps(content, allow_nan=False)


def _number(value: float) -> float | None:
    return round(value, DIGITS) if np.isfinite(value) else None
