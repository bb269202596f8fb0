"""Evaluation of a network on data sets: detections of every class in every image, and how good they are."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import torch
from yacs.config import CfgNode

from os2d.data.catalog import data_root
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.data.eval_loader import EvalBatch, build_eval_loader
from os2d.distributed import rank
from os2d.engine.average_precision import VocResult, evaluate_detections
from os2d.engine.detection import ClassHeads, detections_of_rows, join_classes, make_class_heads, match_in_chunks
from os2d.engine.heatmaps import draw_heatmaps
from os2d.engine.image_objective import ImageObjective
from os2d.engine.pictures import Pictures
from os2d.engine.sharding import gather_shares, my_share
from os2d.errors import DataError
from os2d.metric_names import EVALUATION_TIME, at_iou, on_dataset
from os2d.modeling.network import Os2d
from os2d.modeling.objective import Os2dObjective
from os2d.run import Run
from os2d.structures.boxes import BoxList
from os2d.whole_file import whole_file

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationSet:
    """A data set to evaluate on, and the size at which pyramid scale 1 sees its images."""

    dataset: DatasetOneShotDetection
    dataset_scale: float


class Measured(Protocol):
    """The metrics of a data set, and how many seconds they took."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Name of a metric -> value."""

    @property
    def seconds(self) -> float:
        """How long the evaluation took."""


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
    model: Os2d,
    sets: Sequence[EvaluationSet],
    config: CfgNode,
    run: Run,
    num_pictured: int = 0,
    iteration: int | None = None,
) -> OrderedDict[str, Evaluation]:
    """Return the evaluation of every data set by its name; the network is left in evaluation mode."""
    objective = Os2dObjective.from_config(config)
    return OrderedDict(
        (s.dataset.name, evaluate_dataset(model, objective, s, config, run, num_pictured, iteration)) for s in sets
    )


def evaluate_dataset(
    model: Os2d,
    objective: Os2dObjective,
    evaluated: EvaluationSet,
    config: CfgNode,
    run: Run,
    num_pictured: int = 0,
    iteration: int | None = None,
) -> Evaluation:
    """Return the evaluation of one data set; processes share the images, and each returns the whole.

    Between images it looks whether the run should stop; whoever calls it has saved what is to be resumed. The
    detections are written to ``visualization.eval.path_to_save_detections``, if it is set.

    Args:
        model: the network, put into evaluation mode.
        objective: its terms are averaged over the images; images without a box add zero.
        evaluated: the data set.
        config: the whole configuration tree.
        run: asked whether to stop, and given the pictures that ``visualization.eval`` asks for.
        num_pictured: for so many images the detections keep the corners of the aligned class images.
        iteration: of the training, for the names of the pictures.
    """
    start = time.perf_counter()
    model.eval()
    dataset = evaluated.dataset
    device = next(model.parameters()).device
    scene = _Scene(
        model=model,
        dataset=dataset,
        objective=objective,
        class_heads=make_class_heads(model, dataset, config, device),
        config=config,
        pictures=Pictures(config, run, iteration),
        pictured=frozenset(images_with_boxes(dataset, num_pictured)),
    )
    mine: list[_EvaluatedBatch] = []
    for batch in build_eval_loader(dataset, config, evaluated.dataset_scale, share=my_share):
        if run.should_stop:
            run.interrupt()
        mine.append(_evaluate_batch(scene, batch))
    batches = gather_shares(mine)
    detections = [found for batch in batches for found in batch.detections]
    ground_truth = [gt for batch in batches for gt in batch.ground_truth]
    totals: OrderedDict[str, float] = OrderedDict()
    for terms in (terms for batch in batches for terms in batch.terms):
        for name, value in terms.items():
            totals[name] = totals.get(name, 0.0) + value / len(dataset)
    per_class = evaluate_detections(detections, ground_truth, config.eval.mAP_iou_thresholds)
    metrics = OrderedDict([*totals.items(), *voc_metrics(per_class)])
    seconds = time.perf_counter() - start
    if rank() == 0:
        logger.info("Evaluated on %s, scale %s", dataset.name, evaluated.dataset_scale)
        logger.info(" ".join(f"{name} {value:.4f}," for name, value in {**metrics, EVALUATION_TIME: seconds}.items()))
    image_ids = [image_id for batch in batches for image_id in batch.image_ids]
    evaluation = Evaluation(metrics, seconds, image_ids, detections, ground_truth, per_class)
    if rank() == 0 and config.visualization.eval.path_to_save_detections:
        save_detections(evaluation, dataset.name, Path(config.visualization.eval.path_to_save_detections))
    return evaluation


@dataclass(frozen=True)
class _Scene:
    """What stays the same over the images of a data set."""

    model: Os2d
    dataset: DatasetOneShotDetection
    objective: Os2dObjective
    class_heads: ClassHeads
    config: CfgNode
    pictures: Pictures
    pictured: frozenset[int]


@dataclass(frozen=True)
class _EvaluatedBatch:
    """What was found in a batch, per image; terms of the objective of those images that have a box."""

    image_ids: list[int]
    detections: list[BoxList]
    ground_truth: list[BoxList]
    terms: list[dict[str, float]]


def images_with_boxes(dataset: DatasetOneShotDetection, count: int) -> list[int]:
    """Return the ids of the first images that have a box, at most ``count``."""
    return list(islice((i for i in dataset.image_ids if len(dataset.boxes(i))), count))


@torch.no_grad()
def _evaluate_batch(scene: _Scene, batch: EvalBatch) -> _EvaluatedBatch:
    model, config, class_heads = scene.model, scene.config, scene.class_heads
    device = next(model.parameters()).device
    levels = [level.to(device, non_blocking=True) for level in batch.levels]
    with_alignment = any(
        i in scene.pictured or scene.pictures.draws_detections(scene.dataset, i) for i in batch.image_ids
    )
    objectives = [
        ImageObjective(i, gt, class_heads, scene.objective, model.box_coder, batch, device)
        for i, gt in enumerate(batch.boxes)
        if len(gt)
    ]
    parts: list[list[BoxList]] = []
    for matched in match_in_chunks(model, levels, class_heads, config.runtime.head_memory_mb):
        parts.append(detections_of_rows(model, batch, matched, class_heads, config, with_alignment))
        for image in objectives:
            image.take(matched)
    detections = [join_classes(of_image, config) for of_image in zip(*parts, strict=True)]
    for image_id, gt, found in zip(batch.image_ids, batch.boxes, detections, strict=True):
        scene.pictures.evaluated_image(scene.dataset, image_id, gt, found)
    draw_heatmaps(model, scene.dataset, batch, levels, class_heads, scene.pictures, "eval")
    return _EvaluatedBatch(batch.image_ids, detections, batch.boxes, [image.terms() for image in objectives])


def voc_metrics(per_threshold: Mapping[float, VocResult]) -> list[tuple[str, float]]:
    """Return name and value of every metric at every IoU threshold."""
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


def metrics_by_name(evaluations: Mapping[str, Measured]) -> dict[str, float]:
    """Return every metric of every data set under its name in the log; times are left out, they never repeat."""
    return {
        on_dataset(metric, dataset): value
        for dataset, evaluation in evaluations.items()
        for metric, value in evaluation.metrics.items()
    }


def times_by_name(evaluations: Mapping[str, Measured]) -> dict[str, float]:
    """Return how many seconds every data set took."""
    return {on_dataset(EVALUATION_TIME, dataset): evaluation.seconds for dataset, evaluation in evaluations.items()}


def save_detections(evaluation: Evaluation, name: str, folder: Path) -> None:
    """Write ``<name>_detections.pth``: lists over images of tensors in the frame of the loaded image."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}_detections.pth"
    content = {
        "image_ids": evaluation.image_ids,
        "boxes_xyxy": [found.boxes_xyxy for found in evaluation.detections],
        "labels": [found.field("labels") for found in evaluation.detections],
        "scores": [found.field("scores") for found in evaluation.detections],
        "gt_boxes_xyxy": [gt.boxes_xyxy for gt in evaluation.ground_truth],
        "gt_labels": [gt.field("labels") for gt in evaluation.ground_truth],
        "gt_difficults": [gt.field("difficult") for gt in evaluation.ground_truth],
    }
    with whole_file(path) as unfinished:
        torch.save(content, unfinished)
