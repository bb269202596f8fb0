"""Evaluation of a network on data sets: detections of every class in every image, and how good they are (OS2D, 6)."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from yacs.config import CfgNode

from os2d.data.catalog import data_root
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.data.eval_loader import EvalBatch, build_eval_loader
from os2d.engine.average_precision import VocResult, evaluate_detections
from os2d.engine.detection import ClassHeads, detections_of_rows, join_classes, make_class_heads, match_in_chunks
from os2d.engine.image_objective import ImageObjective
from os2d.engine.metric_names import EVALUATION_TIME, at_iou, on_dataset
from os2d.engine.objective import Os2dObjective
from os2d.errors import DataError
from os2d.modeling.model import Os2d
from os2d.run import Run
from os2d.structures.boxes import BoxList

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationSet:
    """A data set to evaluate on, and the size at which pyramid scale 1 sees its images."""

    dataset: DatasetOneShotDetection
    dataset_scale: float


@dataclass(frozen=True)
class Evaluation:
    """What was found in one data set; the lists are parallel, in the order of evaluation."""

    metrics: OrderedDict[str, float]
    seconds: float
    image_ids: list[int]
    detections: list[BoxList]
    ground_truth: list[BoxList]
    per_class: dict[float, VocResult]


def build_evaluation_sets(config: CfgNode, train_dataset: DatasetOneShotDetection | None = None) -> list[EvaluationSet]:
    """Return the data sets of ``eval``, and the first training images if they are evaluated too."""
    eval_ = config.eval
    scales = list(eval_.dataset_scales)
    scales = scales * len(eval_.dataset_names) if len(scales) == 1 else scales
    sets = [
        EvaluationSet(build_dataset(name, data_root(config), cache_images=eval_.cache_images), scale)
        for name, scale in zip(eval_.dataset_names, scales, strict=True)
        if name
    ]
    if eval_.train_subset_for_eval_size > 0:
        if train_dataset is None:
            train_dataset = build_dataset(config.train.dataset_name, data_root(config))
        subset = train_dataset.subset(eval_.train_subset_for_eval_size)
        sets.append(EvaluationSet(subset, config.train.dataset_scale))
    for evaluated in sets:
        if not evaluated.dataset.class_ids:
            raise DataError(f"data set {evaluated.dataset.name!r} has no annotated box: there is nothing to evaluate")
    return sets


def evaluate_model(
    model: Os2d, sets: Sequence[EvaluationSet], config: CfgNode, run: Run, num_pictured: int = 0
) -> OrderedDict[str, Evaluation]:
    """Return the evaluation of every data set by its name; the network is left in evaluation mode."""
    objective = Os2dObjective.from_config(config)
    return OrderedDict((s.dataset.name, evaluate_dataset(model, objective, s, config, run, num_pictured)) for s in sets)


def evaluate_dataset(
    model: Os2d,
    objective: Os2dObjective,
    evaluated: EvaluationSet,
    config: CfgNode,
    run: Run,
    num_pictured: int = 0,
) -> Evaluation:
    """Return the evaluation of one data set.

    Between images it looks whether the run should stop; whoever calls it has saved what is to be resumed.

    Args:
        model: the network, put into evaluation mode.
        objective: its terms are averaged over the images; images without a box add zero.
        evaluated: the data set.
        config: the whole configuration tree.
        run: asked whether to stop.
        num_pictured: for so many images the detections keep the corners of the aligned class images.
    """
    start = time.perf_counter()
    model.eval()
    device = next(model.parameters()).device
    class_heads = make_class_heads(model, evaluated.dataset, config, device)
    pictured = images_with_boxes(evaluated.dataset, num_pictured)
    image_ids: list[int] = []
    detections: list[BoxList] = []
    ground_truth: list[BoxList] = []
    totals: OrderedDict[str, float] = OrderedDict()
    for batch in build_eval_loader(evaluated.dataset, config, evaluated.dataset_scale):
        if run.should_stop:
            run.interrupt()
        found, terms = _evaluate_batch(model, objective, batch, class_heads, config, pictured)
        image_ids += batch.image_ids
        detections += found
        ground_truth += batch.boxes
        for name, value in terms:
            totals[name] = totals.get(name, 0.0) + value / len(evaluated.dataset)
    per_class = evaluate_detections(detections, ground_truth, config.eval.mAP_iou_thresholds)
    metrics = OrderedDict([*totals.items(), *_voc_metrics(per_class)])
    seconds = time.perf_counter() - start
    logger.info("Evaluated on %s, scale %s", evaluated.dataset.name, evaluated.dataset_scale)
    logger.info(" ".join(f"{name} {value:.4f}," for name, value in {**metrics, EVALUATION_TIME: seconds}.items()))
    return Evaluation(metrics, seconds, image_ids, detections, ground_truth, per_class)


def images_with_boxes(dataset: DatasetOneShotDetection, count: int) -> list[int]:
    """Return the ids of the first images that have a box, at most ``count``."""
    return list(islice((i for i in dataset.image_ids if len(dataset.boxes(i))), count))


@torch.no_grad()
def _evaluate_batch(
    model: Os2d,
    objective: Os2dObjective,
    batch: EvalBatch,
    class_heads: ClassHeads,
    config: CfgNode,
    pictured: Collection[int],
) -> tuple[list[BoxList], list[tuple[str, float]]]:
    """Return the detections per image, and the terms of the objective of every image that has a box."""
    device = next(model.parameters()).device
    levels = [level.to(device, non_blocking=True) for level in batch.levels]
    with_corners = not set(batch.image_ids).isdisjoint(pictured)
    objectives = [ImageObjective(i, gt, class_heads) for i, gt in enumerate(batch.boxes) if len(gt)]
    parts: list[list[BoxList]] = []
    for matched in match_in_chunks(model, levels, class_heads, config.runtime.head_memory_mb):
        parts.append(detections_of_rows(model, batch, matched, class_heads, config, with_corners))
        for image in objectives:
            image.take(matched)
    detections = [join_classes(of_image, config) for of_image in zip(*parts, strict=True)]
    terms = [image.terms(objective, model.box_coder, batch).items() for image in objectives]
    return detections, [item for of_image in terms for item in of_image]


def _voc_metrics(per_threshold: dict[float, VocResult]) -> list[tuple[str, float]]:
    return [
        (at_iou(name, threshold), value)
        for threshold, voc in per_threshold.items()
        for name, value in (
            ("mAP", voc.mean_ap),
            ("mAPw", voc.weighted_mean_ap),
            ("recall", voc.recall),
            ("AP_joint_classes", voc.ap_joint_classes),
            ("AP_pooled_classes", voc.ap_pooled_classes),
        )
    ]


def metrics_by_name(evaluations: Mapping[str, Evaluation]) -> dict[str, float]:
    """Return every metric of every data set under its name in the log; times are left out, they never repeat."""
    return {
        on_dataset(metric, dataset): value
        for dataset, evaluation in evaluations.items()
        for metric, value in evaluation.metrics.items()
    }


def times_by_name(evaluations: Mapping[str, Evaluation]) -> dict[str, float]:
    """Return how many seconds every data set took."""
    return {on_dataset(EVALUATION_TIME, dataset): evaluation.seconds for dataset, evaluation in evaluations.items()}


def save_detections(evaluations: Mapping[str, Evaluation], folder: Path) -> None:
    """Write ``<data set>_detections.pth``: lists over images of tensors in the frame of the loaded image."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, evaluation in evaluations.items():
        torch.save(
            {
                "image_ids": evaluation.image_ids,
                "boxes_xyxy": [found.boxes_xyxy for found in evaluation.detections],
                "labels": [found.field("labels") for found in evaluation.detections],
                "scores": [found.field("scores") for found in evaluation.detections],
                "gt_boxes_xyxy": [gt.boxes_xyxy for gt in evaluation.ground_truth],
                "gt_labels": [gt.field("labels") for gt in evaluation.ground_truth],
                "gt_difficults": [gt.field("difficult") for gt in evaluation.ground_truth],
            },
            folder / f"{name}_detections.pth",
        )
