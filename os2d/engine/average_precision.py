"""Average precision by the PASCAL VOC protocol, for any number of IoU thresholds at once.

Without a score threshold nearly all detections are of a class that their image has no box of. They are plain false
positives, so all they do is to move the others down the ranking: everything is ranked once, by a radix sort, and only
the candidates are compared with boxes. Legend: ``N`` detections, ``M`` candidates (detections whose image has a box of
their class), ``G`` ground-truth boxes, all over the whole data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from os2d.engine.precision_recall import RECALLS, PrecisionRecall, interpolated_precision, precision_at
from os2d.structures.boxes import BoxList

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.integer]
BoolArray = NDArray[np.bool_]
Number = TypeVar("Number", bound=np.generic)

NO_MATCH = -1


@dataclass(frozen=True)
class VocResult:
    """What the protocol gives at one IoU threshold; NaN means that there is nothing to find.

    ``ap_pooled_classes`` is the AP of the detections of all classes in one ranking. ``ap_joint_classes`` is the same
    as the published program computes it, see :func:`_published_ranks`. The arrays are parallel to ``class_ids``, the
    classes with a detection or a ground-truth box, in rising order. ``curve`` is NaN everywhere if nothing is to find.
    """

    mean_ap: float
    weighted_mean_ap: float
    recall: float
    ap_joint_classes: float
    ap_pooled_classes: float
    class_ids: NDArray[np.int64]
    ap_per_class: NDArray[np.float64]
    recall_per_class: NDArray[np.float64]
    positives_per_class: IntArray
    curve: PrecisionRecall


def evaluate_detections(
    detections: Sequence[BoxList],
    ground_truth: Sequence[BoxList],
    iou_thresholds: Sequence[float],
    use_07_metric: bool = False,
) -> dict[float, VocResult]:
    """Return the result for every IoU threshold.

    >>> import torch
    >>> from os2d.structures.sizes import Size
    >>> image, boxes = Size(w=100, h=100), torch.tensor([[10.0, 10.0, 49.0, 49.0], [60.0, 60.0, 99.0, 99.0]])
    >>> fields = {"labels": torch.tensor([7, 7]), "difficult": torch.tensor([False, False])}
    >>> found = {"labels": torch.tensor([7]), "scores": torch.tensor([0.9])}
    >>> results = evaluate_detections([BoxList(boxes[:1], image, found)], [BoxList(boxes, image, fields)], [0.5])
    >>> results[0.5].mean_ap, results[0.5].recall
    (0.5, 0.5)

    Args:
        detections: per image, fields ``scores`` and ``labels``; brought to the size of the ground truth's image.
        ground_truth: per image, fields ``labels`` and ``difficult``.
        iou_thresholds: overlap from which a detection matches a box.
        use_07_metric: take the mean precision at 11 recalls instead of the area under the envelope.
    """
    labels_N = _flat([d.field("labels") for d in detections], np.int64)
    labels_G = _flat([g.field("labels") for g in ground_truth], np.int64)
    class_ids, classes = _numbered(np.concatenate([labels_N, labels_G]))
    found = _Labelled(classes[: len(labels_N)], _image_of_each_box(detections))
    truth = _Labelled(classes[len(labels_N) :], _image_of_each_box(ground_truth))
    difficult_G = _flat([g.field("difficult") for g in ground_truth], np.bool_)
    by_score = _falling_order(_flat([d.field("scores") for d in detections], np.float32))

    candidates_M = _candidates(found, truth, len(ground_truth), len(class_ids))
    pooled_M = _ranks(by_score, candidates_M)
    order = np.argsort(pooled_M)
    candidates_M, pooled_M = candidates_M[order], pooled_M[order]
    boxes_M4 = _boxes_in_the_frame_of(ground_truth, detections, candidates_M, found.images[candidates_M])
    match_M, iou_M = _best_match(boxes_M4, found[candidates_M], _flat_boxes(ground_truth), truth, len(class_ids))
    ranking = _Ranking(
        classes=found.classes[candidates_M],
        in_class=_ranks_in_class(by_score, found.classes, candidates_M, len(class_ids)),
        pooled=pooled_M,
        published=_published_ranks(by_score, found, truth, len(class_ids), candidates_M, pooled_M),
    )
    positives = np.bincount(truth.classes[~difficult_G], minlength=len(class_ids))
    return {
        t: _result(_outcomes(match_M, iou_M, difficult_G, t), ranking, class_ids, positives, use_07_metric)
        for t in iou_thresholds
    }


@dataclass(frozen=True)
class _Labelled:
    """Boxes of all images, one after the other: number of the class and of the image of each."""

    classes: IntArray
    images: IntArray

    def __getitem__(self, index: IntArray) -> _Labelled:
        return _Labelled(self.classes[index], self.images[index])

    def groups(self, num_classes: int) -> IntArray:
        """Return a number per box that equals that of boxes of the same image and class."""
        return self.images.astype(np.int64) * num_classes + self.classes


@dataclass(frozen=True)
class _Ranking:
    """Of every candidate, by falling score: its class, and its rank in it, among all, and in the published order.

    A rank is the number of detections before it, candidates or not.
    """

    classes: IntArray
    in_class: IntArray
    pooled: IntArray
    published: IntArray


@dataclass(frozen=True)
class _Outcomes:
    """Per candidate, by falling score: is it a hit, or does it count neither way (a match of a difficult box)."""

    hit: BoolArray
    ignored: BoolArray


def _outcomes(match_M: IntArray, iou_M: FloatArray, difficult_G: BoolArray, iou_threshold: float) -> _Outcomes:
    matched = np.flatnonzero((match_M != NO_MATCH) & (iou_M >= iou_threshold))
    ignored_M = np.zeros(len(match_M), dtype=np.bool_)
    ignored_M[matched[difficult_G[match_M[matched]]]] = True
    proper = matched[~ignored_M[matched]]
    _, first = np.unique(match_M[proper], return_index=True)  # the best scored detection takes the box
    hit_M = np.zeros(len(match_M), dtype=np.bool_)
    hit_M[proper[first]] = True
    return _Outcomes(hit_M, ignored_M)


def _result(
    outcomes: _Outcomes,
    ranking: _Ranking,
    class_ids: NDArray[np.int64],
    positives: IntArray,
    use_07_metric: bool,
) -> VocResult:
    hit_M, ignored_M = outcomes.hit, outcomes.ignored
    ap, recall = np.full(len(class_ids), np.nan), np.full(len(class_ids), np.nan)
    curves = [np.full(len(RECALLS), np.nan)]
    for c in np.flatnonzero(positives):
        of_class = ranking.classes == c
        hits, ignored = ranking.in_class[of_class & hit_M], ranking.in_class[of_class & ignored_M]
        ap[c] = average_precision(hits, ignored, int(positives[c]), use_07_metric)
        recall[c] = len(hits) / positives[c]
        curves.append(precision_at(RECALLS, interpolated_precision(hits, ignored), int(positives[c])))
    total, defined = int(positives.sum()), positives > 0
    if not total:
        undefined = PrecisionRecall(curves[0], curves[0])
        return VocResult(np.nan, np.nan, np.nan, np.nan, np.nan, class_ids, ap, recall, positives, undefined)
    joint, pooled = (
        average_precision(ranks[hit_M], ranks[ignored_M], total, use_07_metric)
        for ranks in (ranking.published, ranking.pooled)
    )
    all_classes = interpolated_precision(ranking.pooled[hit_M], ranking.pooled[ignored_M])
    return VocResult(
        mean_ap=float(ap[defined].mean()),
        weighted_mean_ap=float((ap[defined] * positives[defined]).sum() / total),
        recall=float(np.count_nonzero(hit_M) / total),
        ap_joint_classes=joint,
        ap_pooled_classes=pooled,
        class_ids=class_ids,
        ap_per_class=ap,
        recall_per_class=recall,
        positives_per_class=positives,
        curve=PrecisionRecall(precision_at(RECALLS, all_classes, total), np.mean(curves[1:], axis=0)),
    )


def average_precision(
    hit_ranks: IntArray, ignored_ranks: IntArray, positives: int, use_07_metric: bool = False
) -> float:
    """Return the average precision of a ranking of detections, from 0 to 1.

    >>> hits = np.array([0, 3])  # hit, miss, miss, hit
    >>> average_precision(hits, np.array([], dtype=int), positives=2)
    0.75

    Args:
        hit_ranks: how many detections stand before each of those that find a box.
        ignored_ranks: the same for those that do not count at all.
        positives: boxes to be found.
        use_07_metric: take the mean precision at 11 recalls instead of the area under the envelope.
    """
    if not len(hit_ranks):
        return 0.0
    envelope = interpolated_precision(hit_ranks, ignored_ranks)
    if not use_07_metric:
        return float(envelope.sum() / positives)
    return float(precision_at(np.arange(0.0, 1.1, 0.1), envelope, positives).sum() / 11)


def _candidates(found: _Labelled, truth: _Labelled, num_images: int, num_classes: int) -> IntArray:
    """Return the detections whose image has a box of their class."""
    bounds_N, bounds_G = (np.searchsorted(b.images, np.arange(num_images + 1)) for b in (found, truth))
    annotated = np.zeros(num_classes, dtype=np.bool_)
    parts = [np.zeros(0, dtype=np.int64)]
    for image in range(num_images):
        classes_G = truth.classes[bounds_G[image] : bounds_G[image + 1]]
        if len(classes_G):
            annotated[classes_G] = True
            of_image = found.classes[bounds_N[image] : bounds_N[image + 1]]
            parts.append(np.flatnonzero(annotated[of_image]) + bounds_N[image])
            annotated[classes_G] = False
    return np.concatenate(parts)


def _falling_order(scores_N: NDArray[np.float32]) -> IntArray:
    """Return the order of falling scores, equal ones as they come, and what is no number last.

    Like every float, a score sorts as the whole number of its bits once negative ones are turned round. NumPy sorts
    16-bit numbers in linear time: first by the lower half, then, keeping that order, by the upper one.
    """
    numbers = np.fmax(scores_N, np.float32(-np.inf)) + np.float32(0)  # +0: a negative zero equals zero
    bits = numbers.view(np.int32)
    rising = np.where(bits < 0, ~bits, bits ^ np.int32(-(2**31))).view(np.uint32)
    falling = ~rising
    order = np.argsort(falling.astype(np.uint16), kind="stable")
    return order[np.argsort((falling >> np.uint32(16)).astype(np.uint16)[order], kind="stable")]


def _ranks(order: IntArray, chosen: IntArray) -> IntArray:
    """Return the places of the chosen ones in an order of all."""
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[chosen]


def _ranks_in_class(by_score: IntArray, classes_N: IntArray, candidates_M: IntArray, num_classes: int) -> IntArray:
    """Return how many detections of the same class stand before each candidate."""
    by_class = by_score[np.argsort(_narrow(classes_N[by_score], num_classes), kind="stable")]
    first = np.cumsum(np.bincount(classes_N, minlength=num_classes)) - np.bincount(classes_N, minlength=num_classes)
    return _ranks(by_class, candidates_M) - first[classes_N[candidates_M]]


def _narrow(values: IntArray, limit: int) -> IntArray:
    """Return the values below a limit in the type that NumPy sorts fastest."""
    return values.astype(np.uint16) if limit <= 2**16 else values


def _published_ranks(
    by_score: IntArray,
    found: _Labelled,
    truth: _Labelled,
    num_classes: int,
    candidates_M: IntArray,
    pooled_M: IntArray,
) -> IntArray:
    """Return the rank at which the published program counts the outcome of each candidate, in the pooled ranking.

    It pools the scores of the classes in the order in which a class is first seen (image by image, detected or
    annotated), but their outcomes in the order in which a class is first detected. The two orders agree, and every
    detection keeps its own rank, unless a class is annotated in an image before the first one it is detected in.
    Kept because ``AP_joint_classes`` would not compare with published numbers otherwise.
    """
    detected = _first_group(found, num_classes)
    seen = np.minimum(detected, _first_group(truth, num_classes))
    present = np.flatnonzero(detected < np.iinfo(np.int64).max)
    if np.array_equal(np.argsort(detected[present]), np.argsort(seen[present])):
        return pooled_M
    sorted_found = found[by_score]
    group_N = sorted_found.groups(num_classes)
    rank = np.empty(len(by_score), dtype=np.int64)
    rank[np.lexsort((group_N, detected[sorted_found.classes]))] = np.lexsort((group_N, seen[sorted_found.classes]))
    return rank[pooled_M]


def _first_group(boxes: _Labelled, num_classes: int) -> NDArray[np.int64]:
    """Return the first (image, class) group of every class; the largest integer for a class without any."""
    first = np.full(num_classes, np.iinfo(np.int64).max)
    first[boxes.classes[::-1]] = boxes.groups(num_classes)[::-1]  # images rise: the last one written is the first
    return first


def _best_match(
    boxes_M4: FloatArray, found: _Labelled, boxes_G4: FloatArray, truth: _Labelled, num_classes: int
) -> tuple[IntArray, FloatArray]:
    """Return the ground-truth box of highest IoU within the same group (first one of equals), and that IoU."""
    group_M, group_G = found.groups(num_classes), truth.groups(num_classes)
    order = np.argsort(group_G, kind="stable")
    sorted_group_G = group_G[order]
    first_M = np.searchsorted(sorted_group_G, group_M, side="left")
    rivals_M = np.searchsorted(sorted_group_G, group_M, side="right") - first_M
    match_M = np.full(len(group_M), NO_MATCH, dtype=np.int64)
    iou_M = np.full(len(group_M), -1.0, dtype=np.float32)
    compared = np.arange(len(group_M))
    for rival in range(int(rivals_M.max(initial=0))):
        compared = compared[rivals_M[compared] > rival]
        box = order[first_M[compared] + rival]
        iou = _inclusive_iou(boxes_M4[compared], boxes_G4[box])
        better = iou > iou_M[compared]
        match_M[compared[better]], iou_M[compared[better]] = box[better], iou[better]
    return match_M, iou_M


def _inclusive_iou(a_M4: FloatArray, b_M4: FloatArray) -> FloatArray:
    """IoU of parallel boxes whose right and bottom pixels belong to them, as VOC counts."""
    a_min, a_max = a_M4[:, :2], a_M4[:, 2:] + np.float32(1)
    b_min, b_max = b_M4[:, :2], b_M4[:, 2:] + np.float32(1)
    overlap = np.clip(np.minimum(a_max, b_max) - np.maximum(a_min, b_min), 0, None).prod(axis=1)
    iou: FloatArray = overlap / ((a_max - a_min).prod(axis=1) + (b_max - b_min).prod(axis=1) - overlap)
    return iou


def _numbered(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], IntArray]:
    """Return the distinct labels, rising, and the place of every label among them, in linear time."""
    codes, distinct = pd.factorize(labels)
    rising = np.argsort(distinct)
    place = np.empty(len(distinct), dtype=np.int32)
    place[rising] = np.arange(len(distinct), dtype=np.int32)
    return distinct[rising], place[codes]


def _boxes_in_the_frame_of(
    ground_truth: Sequence[BoxList], detections: Sequence[BoxList], chosen_M: IntArray, images_M: IntArray
) -> FloatArray:
    """Return chosen detections of all images, M x 4, in the frame of the ground truth of their image."""
    first = np.cumsum([0, *(len(d) for d in detections)])
    boxes_M4 = np.empty((len(chosen_M), 4), dtype=np.float32)
    by_image = np.argsort(images_M, kind="stable")
    bounds = np.searchsorted(images_M[by_image], np.arange(len(detections) + 1))
    for image in np.flatnonzero(np.diff(bounds)).tolist():
        of_image = by_image[bounds[image] : bounds[image + 1]]
        found, frame = detections[image], ground_truth[image].size
        boxes = found.boxes_xyxy.detach().cpu().numpy()[chosen_M[of_image] - first[image]]
        scale_x, scale_y = frame.w / found.size.w, frame.h / found.size.h
        boxes_M4[of_image] = boxes * np.array([scale_x, scale_y, scale_x, scale_y], dtype=np.float32)
    return boxes_M4


def _flat(tensors: Sequence[Tensor], dtype: type[Number]) -> NDArray[Number]:
    arrays = [t.detach().cpu().numpy().astype(dtype, copy=False) for t in tensors]
    return np.concatenate([np.zeros(0, dtype=dtype), *arrays])


def _flat_boxes(lists: Sequence[BoxList]) -> FloatArray:
    return np.concatenate([np.zeros((0, 4), np.float32), *(b.boxes_xyxy.detach().cpu().numpy() for b in lists)])


def _image_of_each_box(lists: Sequence[BoxList]) -> IntArray:
    return np.repeat(np.arange(len(lists), dtype=np.int32), [len(b) for b in lists])
