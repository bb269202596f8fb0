"""Average precision by the PASCAL VOC protocol, for any number of IoU thresholds at once.

Every detection is compared only with the ground truth of its own image and class, all of them in one pass, and
everything is sorted once. Legend: ``N`` detections, ``G`` ground-truth boxes, both over the whole data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from os2d.structures.boxes import BoxList

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

NO_MATCH = -1


@dataclass(frozen=True)
class VocResult:
    """What the protocol gives at one IoU threshold; NaN means that there is nothing to find.

    ``ap_pooled_classes`` is the AP of the detections of all classes in one ranking. ``ap_joint_classes`` is the same
    as the published program computes it, see :func:`_published_pairing`. The arrays are parallel to ``class_ids``, the
    classes with a detection or a ground-truth box, in rising order.
    """

    mean_ap: float
    weighted_mean_ap: float
    recall: float
    ap_joint_classes: float
    ap_pooled_classes: float
    class_ids: IntArray
    ap_per_class: NDArray[np.float64]
    recall_per_class: NDArray[np.float64]
    positives_per_class: IntArray


def evaluate_detections(
    detections: Sequence[BoxList],
    ground_truth: Sequence[BoxList],
    iou_thresholds: Sequence[float],
    use_07_metric: bool = False,
) -> dict[float, VocResult]:
    """Return the result for every IoU threshold.

    Args:
        detections: per image, fields ``scores`` and ``labels``; brought to the size of the ground truth's image.
        ground_truth: per image, fields ``labels`` and ``difficult``.
        iou_thresholds: overlap from which a detection matches a box.
        use_07_metric: take the mean precision at 11 recalls instead of the area under the envelope.
    """
    found = [d.resized(g.size) for d, g in zip(detections, ground_truth, strict=True)]
    scores_N = _flat([d.field("scores") for d in found], np.float32)
    labels_N = _flat([d.field("labels") for d in found], np.int64)
    images_N = _image_of_each_box(found)
    labels_G = _flat([g.field("labels") for g in ground_truth], np.int64)
    difficult_G = _flat([g.field("difficult") for g in ground_truth], np.bool_)
    images_G = _image_of_each_box(ground_truth)

    class_ids = np.unique(np.concatenate([labels_N, labels_G]))
    classes_N, classes_G = np.searchsorted(class_ids, labels_N), np.searchsorted(class_ids, labels_G)
    positives = np.bincount(classes_G[~difficult_G], minlength=len(class_ids))

    by_score = np.argsort(-scores_N, kind="stable")
    boxes_N4, boxes_G4 = _flat_boxes(found)[by_score], _flat_boxes(ground_truth)
    classes_N, images_N = classes_N[by_score], images_N[by_score]
    group_N, group_G = images_N * len(class_ids) + classes_N, images_G * len(class_ids) + classes_G
    match_N, iou_N = _best_match(boxes_N4, group_N, boxes_G4, group_G)
    ranking = _Ranking(
        by_class=np.argsort(classes_N, kind="stable"),
        bounds=np.searchsorted(np.sort(classes_N), np.arange(len(class_ids) + 1)),
        published=_published_pairing(group_N, classes_N, group_G, classes_G, len(class_ids)),
    )
    return {
        t: _result(_outcomes(match_N, iou_N, difficult_G, t), ranking, class_ids, positives, use_07_metric)
        for t in iou_thresholds
    }


@dataclass(frozen=True)
class _Ranking:
    """Orders of the detections, given as indices into all of them by falling score.

    Class ``c`` has ``by_class[bounds[c] : bounds[c + 1]]``, by falling score too.
    """

    by_class: IntArray
    bounds: IntArray
    published: IntArray


@dataclass(frozen=True)
class _Outcomes:
    """Per detection, in falling score: is it a hit, and does it count at all (difficult matches do not)."""

    hit: BoolArray
    counted: BoolArray


def _outcomes(match_N: IntArray, iou_N: FloatArray, difficult_G: BoolArray, iou_threshold: float) -> _Outcomes:
    matched = np.flatnonzero((match_N != NO_MATCH) & (iou_N >= iou_threshold))
    counted_N = np.ones(len(match_N), dtype=np.bool_)
    counted_N[matched[difficult_G[match_N[matched]]]] = False
    proper = matched[counted_N[matched]]
    _, first = np.unique(match_N[proper], return_index=True)  # the best scored detection takes the box
    hit_N = np.zeros(len(match_N), dtype=np.bool_)
    hit_N[proper[first]] = True
    return _Outcomes(hit_N, counted_N)


def _result(
    outcomes: _Outcomes, ranking: _Ranking, class_ids: IntArray, positives: IntArray, use_07_metric: bool
) -> VocResult:
    hit_N, counted_N = outcomes.hit, outcomes.counted
    ap, recall = np.full(len(class_ids), np.nan), np.full(len(class_ids), np.nan)
    for c in np.flatnonzero(positives):
        of_class = ranking.by_class[ranking.bounds[c] : ranking.bounds[c + 1]]
        ap[c] = average_precision(hit_N[of_class], counted_N[of_class], int(positives[c]), use_07_metric)
        recall[c] = np.count_nonzero(hit_N[of_class]) / positives[c]
    total, defined = int(positives.sum()), positives > 0
    if not total:
        return VocResult(np.nan, np.nan, np.nan, np.nan, np.nan, class_ids, ap, recall, positives)
    published = ranking.published
    return VocResult(
        mean_ap=float(ap[defined].mean()),
        weighted_mean_ap=float((ap[defined] * positives[defined]).sum() / total),
        recall=float(np.count_nonzero(hit_N) / total),
        ap_joint_classes=average_precision(hit_N[published], counted_N[published], total, use_07_metric),
        ap_pooled_classes=average_precision(hit_N, counted_N, total, use_07_metric),
        class_ids=class_ids,
        ap_per_class=ap,
        recall_per_class=recall,
        positives_per_class=positives,
    )


def _published_pairing(
    group_N: IntArray, classes_N: IntArray, group_G: IntArray, classes_G: IntArray, num_classes: int
) -> IntArray:
    """Return, for every rank of the pooled ranking, the detection whose outcome the published program puts there.

    It pools the scores of the classes in the order in which a class is first seen (image by image, detected or
    annotated), but their outcomes in the order in which a class is first detected. The two orders agree, and every
    detection keeps its own outcome, unless a class is annotated in an image before the first one it is detected in.
    Kept because ``AP_joint_classes`` would not compare with published numbers otherwise.
    """
    detected = _first_group(group_N, classes_N, num_classes)
    seen = np.minimum(detected, _first_group(group_G, classes_G, num_classes))
    present = np.unique(classes_N)
    if np.array_equal(np.argsort(detected[present]), np.argsort(seen[present])):
        return np.arange(len(group_N))
    pairing = np.empty(len(group_N), dtype=np.int64)
    pairing[np.lexsort((group_N, seen[classes_N]))] = np.lexsort((group_N, detected[classes_N]))
    return pairing


def _first_group(groups: IntArray, classes: IntArray, num_classes: int) -> IntArray:
    """Return the first (image, class) group of every class; the largest integer for a class without any."""
    first = np.full(num_classes, np.iinfo(np.int64).max)
    np.minimum.at(first, classes, groups)
    return first


def average_precision(hit_N: BoolArray, counted_N: BoolArray, positives: int, use_07_metric: bool = False) -> float:
    """Return the average precision of detections in falling score.

    Precision falls between two hits and recall stands still, so the hits alone determine the curve.
    """
    hits = np.flatnonzero(hit_N)
    if not len(hits):
        return 0.0
    hits_so_far = np.arange(1, len(hits) + 1)
    precision = hits_so_far / np.cumsum(counted_N)[hits]
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if not use_07_metric:
        return float(envelope.sum() / positives)
    reached = np.searchsorted(hits_so_far / positives, np.arange(0.0, 1.1, 0.1))
    return float(np.append(envelope, 0.0)[reached].sum() / 11)


def _best_match(
    boxes_N4: FloatArray, group_N: IntArray, boxes_G4: FloatArray, group_G: IntArray
) -> tuple[IntArray, FloatArray]:
    """Return the ground-truth box of highest IoU within the same group (first one of equals), and that IoU."""
    order = np.argsort(group_G, kind="stable")
    sorted_group_G = group_G[order]
    first_N = np.searchsorted(sorted_group_G, group_N, side="left")
    rivals_N = np.searchsorted(sorted_group_G, group_N, side="right") - first_N
    match_N = np.full(len(group_N), NO_MATCH, dtype=np.int64)
    iou_N = np.full(len(group_N), -1.0, dtype=np.float32)
    candidates = np.flatnonzero(rivals_N)
    for rival in range(int(rivals_N.max(initial=0))):
        candidates = candidates[rivals_N[candidates] > rival]
        truth = order[first_N[candidates] + rival]
        iou = _inclusive_iou(boxes_N4[candidates], boxes_G4[truth])
        better = iou > iou_N[candidates]
        match_N[candidates[better]], iou_N[candidates[better]] = truth[better], iou[better]
    return match_N, iou_N


def _inclusive_iou(a_N4: FloatArray, b_N4: FloatArray) -> FloatArray:
    """IoU of parallel boxes whose right and bottom pixels belong to them, as VOC counts."""
    a_min, a_max = a_N4[:, :2], a_N4[:, 2:] + np.float32(1)
    b_min, b_max = b_N4[:, :2], b_N4[:, 2:] + np.float32(1)
    overlap = np.clip(np.minimum(a_max, b_max) - np.maximum(a_min, b_min), 0, None).prod(axis=1)
    return overlap / ((a_max - a_min).prod(axis=1) + (b_max - b_min).prod(axis=1) - overlap)


def _flat(tensors: Sequence, dtype: type) -> NDArray:
    arrays = [t.detach().cpu().numpy().astype(dtype, copy=False) for t in tensors]
    return np.concatenate([np.zeros(0, dtype=dtype), *arrays])


def _flat_boxes(lists: Sequence[BoxList]) -> FloatArray:
    return np.concatenate([np.zeros((0, 4), np.float32), *(b.boxes_xyxy.detach().cpu().numpy() for b in lists)])


def _image_of_each_box(lists: Sequence[BoxList]) -> IntArray:
    return np.repeat(np.arange(len(lists)), [len(b) for b in lists])
