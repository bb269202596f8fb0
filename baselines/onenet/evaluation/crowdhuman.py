"""The measures of CrowdHuman for whole bodies, in percent: AP, log-average miss rate, Jaccard index and recall.

Shapes: B images, D detections of an image, G objects, I regions to ignore, S thresholds of the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from baselines.onenet.data.coco_dataset import CocoDataset
from baselines.onenet.evaluation.results import Results
from os2d.errors import DataError
from os2d.structures.sizes import Size

Floats = npt.NDArray[np.float64]

OVERLAP = 0.5
"""Least IoU with an object, and least share of a detection in an ignored region."""

FALSE_POSITIVES_PER_IMAGE = (0.01, 0.0178, 0.0316, 0.0562, 0.1, 0.1778, 0.3162, 0.5623, 1.0)
"""At which the miss rate is averaged."""

SCORE_THRESHOLDS = tuple(tenth / 10 for tenth in range(10))
"""Of which the best Jaccard index is taken."""

NO_AREA = 1e-6
"""Added to areas that divide, in square pixels, because clipped boxes may have none."""


@dataclass(frozen=True, eq=False)
class CrowdImage:
    """One image; boxes xyxy within it.

    Args:
        objects_G4: that must be found.
        ignored_I4: whatever is found here does not count.
        detections_D4: best first.
        scores_D: of the detections.
    """

    objects_G4: Floats
    ignored_I4: Floats
    detections_D4: Floats
    scores_D: Floats


def crowdhuman_metrics(dataset: CocoDataset, results: Results) -> dict[str, float]:
    """Return the measures over all images of a data set with one class; crowds of the file are ignored regions."""
    images = crowd_images(dataset, results)
    objects = sum(len(image.objects_G4) for image in images)
    ranked = [_matches(image) for image in images]
    scores_N = np.concatenate([scores for scores, _ in ranked])
    is_true_N = np.concatenate([is_true for _, is_true in ranked])[np.argsort(-scores_N, kind="stable")]
    if not len(is_true_N):
        return {"CrowdHuman/AP": 0.0, "CrowdHuman/mMR": 100.0, "CrowdHuman/JI": 0.0, "CrowdHuman/recall": 0.0}
    true_N, false_N = np.cumsum(is_true_N), np.cumsum(~is_true_N)
    recall_N, precision_N = true_N / objects, true_N / (true_N + false_N)
    return {
        "CrowdHuman/AP": 100 * float(np.trapezoid(precision_N, recall_N)),
        "CrowdHuman/mMR": 100 * _log_average_miss_rate(1 - recall_N, false_N / len(images)),
        "CrowdHuman/JI": 100 * _best_jaccard_index(images),
        "CrowdHuman/recall": 100 * float(recall_N[-1]),
    }


def crowd_images(dataset: CocoDataset, results: Results) -> list[CrowdImage]:
    """Return the images of a data set with what is in them and what was found.

    Raises:
        DataError: the results are of other images.
    """
    position_of = {id: position for position, id in enumerate(dataset.image_ids)}
    strangers = set(np.unique(results.image_ids_N).tolist()) - position_of.keys()
    if strangers:
        raise DataError(
            f"{dataset.source.annotations}: has no image {min(strangers)}, in which the results found something; they "
            "are those of another data set"
        )
    position_N = np.asarray([position_of[id] for id in results.image_ids_N.tolist()], dtype=np.int64)
    order_N = np.lexsort((-results.scores_N, position_N))
    bounds = np.searchsorted(position_N[order_N], np.arange(len(dataset) + 1))
    images = []
    for position, size in enumerate(dataset.sizes):
        annotated, found = dataset.annotations_of(position), order_N[bounds[position] : bounds[position + 1]]
        boxes, ignored = _clipped(dataset.boxes_xywh_N4[annotated], size), dataset.is_crowd_N[annotated]
        detections_D4 = _clipped(results.boxes_xywh_N4[found], size)
        images.append(CrowdImage(boxes[~ignored], boxes[ignored], detections_D4, results.scores_N[found]))
    return images


def _matches(image: CrowdImage) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the scores of the detections that count, and which of them are true.

    The best detection chooses first, the free object that it overlaps most. What finds none and lies in an ignored
    region does not count.
    """
    iou_DG = _iou(image.detections_D4, image.objects_G4)
    is_true_D = np.zeros(len(image.detections_D4), dtype=bool)
    for detection in np.flatnonzero((iou_DG > OVERLAP).any(axis=1)):
        chosen = int(iou_DG[detection].argmax())
        if iou_DG[detection, chosen] > OVERLAP:
            is_true_D[detection] = True
            iou_DG[:, chosen] = 0
    counts_D = is_true_D | ~_is_inside(image.detections_D4, image.ignored_I4)
    return image.scores_D[counts_D], is_true_D[counts_D]


def _log_average_miss_rate(miss_rate_N: Floats, false_per_image_N: Floats) -> float:
    """Return the geometric mean of the miss rates where the false positives first reach each reference, or at last."""
    reached = np.searchsorted(false_per_image_N, FALSE_POSITIVES_PER_IMAGE)
    rates = miss_rate_N[np.minimum(reached, len(miss_rate_N) - 1)]
    return float(np.exp(np.log(rates).mean())) if rates.min() > 0 else 0.0


def _best_jaccard_index(images: Sequence[CrowdImage]) -> float:
    """Return the best mean over images, of all thresholds; images with nothing in them do not count."""
    indices_BS = np.stack([_jaccard_indices(image) for image in images])
    counted_S = np.maximum((~np.isnan(indices_BS)).sum(axis=0), 1)
    return float((np.nansum(indices_BS, axis=0) / counted_S).max())


def _jaccard_indices(image: CrowdImage) -> Floats:
    """Return matched pairs / (objects + detections - pairs) of the detections above each threshold.

    They are matched so that as many pairs as possible arise. nan: there is nothing in the image.
    """
    may_match_DG = _iou(image.detections_D4, image.objects_G4) >= OVERLAP
    ignored_D = _is_inside(image.detections_D4, image.ignored_I4)
    ignored_G = _is_inside(image.objects_G4, image.ignored_I4)
    indices = []
    for threshold in SCORE_THRESHOLDS:
        above = int((image.scores_D > threshold).sum())  # the best come first
        match_D = maximum_bipartite_matching(csr_matrix(may_match_DG[:above]), perm_type="column")
        is_free_G = np.ones(len(ignored_G), dtype=bool)
        is_free_G[match_D[match_D >= 0]] = False
        pairs = int((match_D >= 0).sum())
        detections = above - int((ignored_D[:above] & (match_D < 0)).sum())
        objects = len(ignored_G) - int((ignored_G & is_free_G).sum())
        indices.append(pairs / (detections + objects - pairs) if detections or objects else np.nan)
    return np.asarray(indices)


def _clipped(boxes_xywh: Floats, size: Size) -> Floats:
    """Return boxes xyxy with their first corner on a pixel of the image and their second one within its border."""
    first = np.clip(boxes_xywh[:, :2], 0, np.asarray(size) - 1)
    second = np.clip(boxes_xywh[:, :2] + boxes_xywh[:, 2:], 0, size)
    return np.concatenate([first, second], axis=1)


def _intersections(boxes_A4: Floats, boxes_B4: Floats) -> Floats:
    first = np.maximum(boxes_A4[:, None, :2], boxes_B4[:, :2])
    second = np.minimum(boxes_A4[:, None, 2:], boxes_B4[:, 2:])
    shared_AB: Floats = np.clip(second - first, 0, None).prod(axis=2)
    return shared_AB


def _areas(boxes_A4: Floats) -> Floats:
    area_A: Floats = (boxes_A4[:, 2:] - boxes_A4[:, :2]).prod(axis=1)
    return area_A


def _iou(boxes_A4: Floats, boxes_B4: Floats) -> Floats:
    shared_AB = _intersections(boxes_A4, boxes_B4)
    return shared_AB / (_areas(boxes_A4)[:, None] + _areas(boxes_B4) - shared_AB + NO_AREA)


def _is_inside(boxes_A4: Floats, regions_B4: Floats) -> npt.NDArray[np.bool_]:
    """Return which boxes lie in some region by more than half of their own area."""
    shares_AB = _intersections(boxes_A4, regions_B4) / (_areas(boxes_A4)[:, None] + NO_AREA)
    return np.asarray((shares_AB > OVERLAP).any(axis=1))
