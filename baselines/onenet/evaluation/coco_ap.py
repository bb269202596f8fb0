"""Average precision of boxes by the rules of COCO, in percent.

The measure is computed by faster-coco-eval, which gives the numbers of pycocotools.
"""

from __future__ import annotations

import logging
from math import nan
from typing import NamedTuple

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from baselines.onenet.data.coco_dataset import CocoDataset
from baselines.onenet.evaluation.results import Results
from os2d.engine.precision_recall import MEAN, Curve, curves_json

logger = logging.getLogger(__name__)

SUMMARY = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""The numbers of COCO in their order; AR100 is COCO's AR for up to 100 detections per image."""

CURVE_IOU = 0.5
"""The first IoU threshold of COCO."""


class Measured(NamedTuple):
    """The metrics of a data set in percent, and precision over recall at IoU 0.5 as the mean over its classes."""

    metrics: dict[str, float]
    curve: Curve


def coco_metrics(dataset: CocoDataset, results: Results) -> dict[str, float]:
    """Return the twelve numbers of COCO and ``AP/<class>`` of every class, in percent.

    A number is nan where the data set has no object that it could be measured by.
    """
    return measure(dataset, results).metrics


def measure(dataset: CocoDataset, results: Results) -> Measured:
    """Return what :func:`coco_metrics` does, and the curve."""
    truth = COCO(_as_coco(dataset))
    evaluation = COCOeval_faster(truth, truth.loadRes(results.entries()), "bbox", print_function=logger.debug)
    evaluation.run()
    summary = {name: _percent(value) for name, value in zip(SUMMARY, evaluation.stats, strict=False)}
    precision_TRKAM = evaluation.eval["precision"]  # IoUs, recalls, classes, areas, numbers of detections
    of_class_K = [_mean_of_known(precision_TRKAM[:, :, k, 0, -1]) for k in range(precision_TRKAM.shape[2])]
    classes = {f"AP/{name}": _percent(value) for name, value in zip(dataset.class_names, of_class_K, strict=True)}
    return Measured(summary | classes, _curve(precision_TRKAM[0, :, :, 0, -1]))


def curves_of(dataset: str, curve: Curve) -> str:
    """Return the content of the file with the curve of a data set."""
    return curves_json(dataset, CURVE_IOU, {MEAN: curve})


def _curve(precision_RK: np.ndarray) -> Curve:
    known_RJ = precision_RK[:, (precision_RK > -1).all(axis=0)]
    mean_R = known_RJ.mean(axis=1) if known_RJ.size else np.full(len(precision_RK), np.nan)
    return Curve(mean_R, float(mean_R.mean()))


def _as_coco(dataset: CocoDataset) -> dict[str, list[dict[str, object]]]:
    """Return what COCO's evaluation needs of an annotation file.

    Its matching takes the id 0 for nothing, so annotations are numbered anew.
    """
    image_ids_N = np.repeat(dataset.image_ids, np.diff(dataset.first_I1)).tolist()
    category_ids_N = np.asarray(dataset.category_ids)[dataset.classes_N].tolist()
    columns = (dataset.boxes_xywh_N4.tolist(), dataset.areas_N.tolist(), dataset.is_crowd_N.astype(int).tolist())
    return {
        "images": [
            {"id": id, "width": size.w, "height": size.h}
            for id, size in zip(dataset.image_ids, dataset.sizes, strict=True)
        ],
        "categories": [
            {"id": id, "name": name} for id, name in zip(dataset.category_ids, dataset.class_names, strict=True)
        ],
        "annotations": [
            {"id": id, "image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": crowd}
            for id, (image, category, box, area, crowd) in enumerate(
                zip(image_ids_N, category_ids_N, *columns, strict=True), start=1
            )
        ],
    }


def _mean_of_known(precision: np.ndarray) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else -1.0


def _percent(value: float) -> float:
    """Return a share in percent; COCO writes -1 for what cannot be measured."""
    return nan if value < 0 else float(value) * 100
