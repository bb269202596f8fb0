"""Curves of precision over recall, and the images that a network does worst and best in."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from os2d.engine.average_precision import average_precision, evaluate_detections
from os2d.engine.image_ranking import worst_and_best
from os2d.engine.precision_recall import (
    RECALLS,
    Curve,
    curves_json,
    interpolated_precision,
    precision_at,
)
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

NONE = np.array([], dtype=np.int64)


def boxes(count: int, labels: list[int], **fields: torch.Tensor) -> BoxList:
    corners = torch.arange(count, dtype=torch.float32)[:, None] * 10
    xyxy = torch.cat([corners, corners, corners + 8, corners + 8], dim=1)
    return BoxList(xyxy, Size(100, 100), {"labels": torch.tensor(labels, dtype=torch.int64), **fields})


def image(truth: int, found: int, labels: list[int]) -> tuple[BoxList, BoxList]:
    """The first ``found`` of ``truth`` boxes are detected, and nothing else."""
    scores = torch.linspace(0.9, 0.1, max(found, 1))[:found]
    difficult = torch.zeros(truth, dtype=torch.bool)
    return boxes(found, labels[:found], scores=scores), boxes(truth, labels, difficult=difficult)


@settings(max_examples=50, deadline=None)
@given(ranks=st.sets(st.integers(0, 40), min_size=1), missed=st.integers(0, 10))
def test_the_area_under_a_curve_is_near_the_average_precision(ranks: set[int], missed: int) -> None:
    hits, positives = np.array(sorted(ranks)), len(ranks) + missed
    precision = precision_at(RECALLS, interpolated_precision(hits, NONE), positives)
    assert (np.diff(precision) <= 0).all()
    assert precision.mean() == pytest.approx(average_precision(hits, NONE, positives), abs=0.02)


def test_a_recall_that_is_never_reached_has_no_precision() -> None:
    precision = precision_at(np.array([0.0, 0.5, 0.51]), interpolated_precision(np.array([0]), NONE), positives=2)
    assert precision.tolist() == [1.0, 1.0, 0.0]


def test_curves_of_a_data_set_are_pooled_and_averaged_over_classes() -> None:
    """One class is found behind two wrong detections of the other one's images, the other one at once."""
    pairs = [image(1, 1, [1]), image(1, 0, [2])]
    curve = evaluate_detections([f for f, _ in pairs], [t for _, t in pairs], [0.5])[0.5].curve
    assert curve.mean.tolist() == pytest.approx([0.5] * 101)
    assert curve.pooled.tolist() == pytest.approx([1.0] * 51 + [0.0] * 50)


def test_where_nothing_is_to_be_found_curves_are_null_in_the_file() -> None:
    found, truth = image(0, 0, [])
    curve = evaluate_detections([found], [truth], [0.5])[0.5].curve
    content = json.loads(curves_json("shelf", 0.5, {"pooled_classes": Curve(curve.pooled, float("nan"))}))
    assert content["curves"]["pooled_classes"] == {"precision": [None] * 101, "average_precision": None}
    assert len(content["recall"]) == 101


def test_worst_and_best_images_are_ranked_by_their_average_precision() -> None:
    pairs = [image(2, 1, [1, 2]), image(2, 2, [1, 2]), image(1, 0, [1]), image(3, 0, [1, 1, 2]), image(0, 0, [])]
    worst, best = worst_and_best([f for f, _ in pairs], [t for _, t in pairs], count=2)
    assert [tuple(image) for image in worst] == [(3, 0.0), (2, 0.0)]
    assert [tuple(image) for image in best] == [(1, 1.0), (0, 0.5)]


def test_a_single_image_is_not_shown_twice() -> None:
    found, truth = image(2, 1, [1, 2])
    worst, best = worst_and_best([found], [truth], count=3)
    assert ([i.number for i in worst], best) == ([0], [])
