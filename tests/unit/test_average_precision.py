import time
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator, default_rng

from os2d.engine.average_precision import (
    NO_MATCH,
    VocResult,
    _falling_order,
    _narrow,
    average_precision,
    evaluate_detections,
)
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

FRAME = Size(100, 80)


DTYPES = {"labels": torch.int64, "difficult": torch.bool, "scores": torch.float32}


def boxes(xyxy: list[list[float]], **fields: list) -> BoxList:
    tensors = {name: torch.tensor(values, dtype=DTYPES[name]) for name, values in fields.items()}
    return BoxList(torch.tensor(xyxy).reshape(-1, 4).float(), FRAME, tensors)


def evaluate(found: BoxList, truth: BoxList, threshold: float = 0.5) -> VocResult:
    return evaluate_detections([found], [truth], [threshold])[threshold]


def slow_voc(found: list[BoxList], truth: list[BoxList], threshold: float) -> dict[int, float]:
    """The protocol word by word: one detection after the other."""
    matches, scores, positives = defaultdict(list), defaultdict(list), defaultdict(int)
    for f, t in zip(found, truth, strict=True):
        for label in sorted({*f.field("labels").tolist(), *t.field("labels").tolist()}):
            g = t[t.field("labels") == label]
            d = f[f.field("labels") == label]
            d = d[d.field("scores").argsort(descending=True)]
            positives[label] += int((~g.field("difficult")).sum())
            scores[label] += d.field("scores").tolist()
            taken = [False] * len(g)
            for box in d.boxes_xyxy.numpy():
                ious = [inclusive_iou(box, other) for other in g.boxes_xyxy.numpy()]
                best = int(np.argmax(ious)) if ious else NO_MATCH
                if not ious or ious[best] < threshold:
                    matches[label].append(0)
                elif g.field("difficult")[best]:
                    matches[label].append(-1)
                else:
                    matches[label].append(0 if taken[best] else 1)
                    taken[best] = True
    return {
        label: area(np.array(matches[label])[np.argsort(-np.array(scores[label]), kind="stable")], n)
        for label, n in positives.items()
        if n
    }


def inclusive_iou(a: np.ndarray, b: np.ndarray) -> float:
    one = np.float32(1)
    w = min(a[2] + one, b[2] + one) - max(a[0], b[0])
    h = min(a[3] + one, b[3] + one) - max(a[1], b[1])
    overlap = max(w, np.float32(0)) * max(h, np.float32(0))
    area_a, area_b = ((x[2] + one - x[0]) * (x[3] + one - x[1]) for x in (a, b))
    return overlap / (area_a + area_b - overlap)


def area(match: np.ndarray, positives: int) -> float:
    if not len(match):
        return 0.0
    tp, fp = np.cumsum(match == 1), np.cumsum(match == 0)
    precision = np.concatenate([[0], np.nan_to_num(tp / np.maximum(tp + fp, 1)), [0]])
    recall = np.concatenate([[0], tp / positives, [1]])
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * precision[1:]))


def random_case(rng: Generator, images: int, classes: int, per_class: int) -> tuple[list[BoxList], list[BoxList]]:
    found, truth = [], []
    for _ in range(images):
        n = int(rng.integers(0, 2 * classes))
        corner = rng.uniform(0, 60, (n, 2))
        g = np.concatenate([corner, corner + rng.uniform(5, 30, (n, 2))], axis=1)
        labels = rng.integers(0, classes, n) * 1_000_003
        truth.append(boxes(g.tolist(), labels=labels.tolist(), difficult=(rng.random(n) < 0.2).tolist()))
        m = classes * per_class
        near = g[rng.integers(0, n, m)] + rng.normal(0, 2, (m, 4)) if n else rng.uniform(0, 60, (m, 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        scores = rng.permutation(m) / m
        found.append(
            boxes(near.tolist(), labels=(rng.integers(0, classes, m) * 1_000_003).tolist(), scores=scores.tolist())
        )
    return found, truth


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), threshold=st.sampled_from([0.0, 0.3, 0.5, 0.75]))
def test_equals_the_protocol_word_by_word(seed: int, threshold: float) -> None:
    found, truth = random_case(default_rng(seed), images=4, classes=3, per_class=6)
    for image, f in enumerate(found):  # distinct scores over the data set
        found[image] = f.with_field("scores", f.field("scores") + image * 1e-4)
    result = evaluate_detections(found, truth, [threshold])[threshold]
    expected = slow_voc(found, truth, threshold)
    actual = {int(c): a for c, a in zip(result.class_ids, result.ap_per_class, strict=True) if not np.isnan(a)}
    assert actual == pytest.approx(expected, abs=1e-12)
    if expected:
        assert result.mean_ap == pytest.approx(np.mean(list(expected.values())), abs=1e-12)


def test_the_second_detection_of_a_box_is_a_false_positive() -> None:
    found = boxes([[0, 0, 9, 9], [0, 0, 9, 9]], labels=[1, 1], scores=[0.4, 0.9])
    truth = boxes([[0, 0, 9, 9], [30, 30, 39, 39]], labels=[1, 1], difficult=[False, False])
    assert evaluate(found, truth).mean_ap == 0.5


def test_a_match_with_a_difficult_box_counts_neither_way() -> None:
    found = boxes([[0, 0, 9, 9], [30, 30, 39, 39]], labels=[1, 1], scores=[0.9, 0.4])
    truth = boxes([[0, 0, 9, 9], [30, 30, 39, 39]], labels=[1, 1], difficult=[True, False])
    assert evaluate(found, truth).mean_ap == 1.0


def test_classes_of_difficult_boxes_only_are_undefined_and_missed_classes_are_zero() -> None:
    found = boxes([[0, 0, 9, 9]], labels=[1], scores=[0.9])
    truth = boxes([[0, 0, 9, 9], [20, 20, 30, 30]], labels=[1, 2], difficult=[True, False])
    result = evaluate(found, truth)
    assert np.isnan(result.ap_per_class[0])
    assert result.ap_per_class[1] == result.recall == result.mean_ap == 0


def test_nothing_to_find_is_undefined() -> None:
    result = evaluate(boxes([], labels=[], scores=[]), boxes([], labels=[], difficult=[]))
    assert np.isnan([result.mean_ap, result.weighted_mean_ap, result.recall, result.ap_joint_classes]).all()


def test_detections_in_another_frame_are_brought_to_the_image() -> None:
    found = boxes([[0, 0, 4.5, 4.5]], labels=[1], scores=[0.9])
    found = found.with_boxes(found.boxes_xyxy, Size(50, 40))
    assert evaluate(found, boxes([[0, 0, 9, 9]], labels=[1], difficult=[False])).mean_ap == 1.0


def test_eleven_point_metric_takes_the_precision_at_or_beyond_each_recall() -> None:
    hits, ignored = np.array([0, 2]), np.array([], dtype=np.int64)
    assert average_precision(hits, ignored, 4, use_07_metric=True) == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_what_is_ranked_equals_a_stable_sort(seed: int) -> None:
    rng = default_rng(seed)
    special = np.array([0.0, -0.0, np.inf, -np.inf, 1e-40, -1e-40], dtype=np.float32)
    scores = np.concatenate([rng.normal(0, 1, 50).astype(np.float32).round(1), special, special])
    rng.shuffle(scores)
    np.testing.assert_array_equal(_falling_order(scores), np.argsort(-scores, kind="stable"))


def test_scores_that_are_no_numbers_rank_last() -> None:
    scores = np.array([np.nan, -5, 2, -np.nan], dtype=np.float32)
    assert _falling_order(scores)[:2].tolist() == [2, 1]


def test_numbers_of_more_classes_than_16_bits_hold_stay_apart() -> None:
    most, more = np.arange(2**16), np.arange(2**16 + 1)
    assert _narrow(most, 2**16).dtype == np.uint16
    np.testing.assert_array_equal(_narrow(most, 2**16), most)
    np.testing.assert_array_equal(_narrow(more, 2**16 + 1), more)


def test_an_overlap_that_equals_the_threshold_is_a_match() -> None:
    """Ten by five of ten by ten pixels: exactly a half."""
    found = boxes([[0, 0, 9, 4]], labels=[1], scores=[0.9])
    truth = boxes([[0, 0, 9, 9]], labels=[1], difficult=[False])
    assert evaluate(found, truth, 0.5).mean_ap == 1
    assert evaluate(found, truth, float(np.nextafter(np.float32(0.5), np.float32(1)))).mean_ap == 0


def test_of_equal_overlaps_the_first_box_is_matched_and_of_equal_scores_the_first_detection_counts() -> None:
    """The detection lies between two boxes; the one that is difficult swallows it if it comes first."""
    found = boxes([[0, 5, 9, 14]], labels=[1], scores=[0.9])
    for difficult, expected in (([True, False], 0.0), ([False, True], 1.0)):
        truth = boxes([[0, 0, 9, 9], [0, 10, 9, 19]], labels=[1, 1], difficult=difficult)
        assert evaluate(found, truth, 0.3).mean_ap == expected
    truth = boxes([[0, 0, 9, 9]], labels=[1], difficult=[False])
    hit, miss = [0, 0, 9, 9], [40, 40, 49, 49]
    assert evaluate(boxes([hit, miss], labels=[1, 1], scores=[0.5, 0.5]), truth).mean_ap == 1
    assert evaluate(boxes([miss, hit], labels=[1, 1], scores=[0.5, 0.5]), truth).mean_ap == 0.5


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_detections_of_absent_classes_only_move_others_down(seed: int) -> None:
    """Their boxes and images do not matter, and neither does the order of the images' detections."""
    rng = default_rng(seed)
    found, truth = random_case(rng, images=3, classes=4, per_class=5)
    for image, f in enumerate(found):  # distinct scores over the data set
        found[image] = f.with_field("scores", f.field("scores") + image * 1e-4)
    result = evaluate_detections(found, truth, [0.5])[0.5]
    shuffled = [f[torch.from_numpy(rng.permutation(len(f)))] for f in found]
    strangers = boxes([[1, 1, 30, 30]] * 4, labels=[7] * 4, scores=[-2.0, -2.0, -3.0, -1.0])
    with_strangers = evaluate_detections([*shuffled[:2], BoxList.cat([shuffled[2], strangers])], truth, [0.5])[0.5]
    known = with_strangers.class_ids != 7
    np.testing.assert_allclose(with_strangers.ap_per_class[known], result.ap_per_class, atol=1e-12)
    assert with_strangers.ap_pooled_classes == pytest.approx(result.ap_pooled_classes, nan_ok=True)


def test_pooled_ranking_keeps_outcomes_with_their_detections() -> None:
    """Class 2 is annotated one image before it is first detected, where the published ranking goes astray."""
    empty = boxes([[50, 50, 59, 59]], labels=[1], scores=[0.8])
    found = [empty, boxes([[0, 0, 9, 9]], labels=[2], scores=[0.9])]
    truth = [
        boxes([[0, 0, 9, 9]], labels=[2], difficult=[True]),
        boxes([[0, 0, 9, 9]], labels=[2], difficult=[False]),
    ]
    assert evaluate_detections(found, truth, [0.5])[0.5].ap_pooled_classes == 1.0


@pytest.mark.slow
def test_is_fast_where_every_class_has_many_detections() -> None:
    rng = default_rng(0)
    found, truth = random_case(rng, images=12, classes=100, per_class=100)
    start = time.perf_counter()
    evaluate_detections(found, truth, [0.5, 0.75])
    fast = time.perf_counter() - start
    start = time.perf_counter()
    slow_voc(found[:2], truth[:2], 0.5)
    slow = (time.perf_counter() - start) * 6 * 2
    assert fast * 5 < slow
