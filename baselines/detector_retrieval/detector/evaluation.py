"""Evaluation of the detector alone, by the metric that all systems share."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor
from yacs.config import CfgNode

from baselines.detector_retrieval.detector.classes import ObjectClasses
from baselines.detector_retrieval.detector.detection import View, detect, seen_in, views_of
from baselines.detector_retrieval.detector.model import Detector
from os2d.data.batch_loader import BatchLoader
from os2d.data.catalog import data_root
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.distributed import rank, world_size
from os2d.engine.average_precision import evaluate_detections
from os2d.engine.evaluation import voc_metrics
from os2d.engine.final_report import keep_curves
from os2d.engine.sharding import gather_shares, my_share
from os2d.errors import DataError
from os2d.metric_names import at_iou
from os2d.run import Run
from os2d.structures.boxes import BoxList

logger = logging.getLogger(__name__)

IOU_THRESHOLD = 0.5


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a data set, and the time they took."""

    metrics: Mapping[str, float]
    seconds: float


def build_evaluation_sets(config: CfgNode) -> list[DatasetOneShotDetection]:
    """Return the data sets of ``DATASETS.TEST``.

    Raises:
        DataError: one of them has nothing to find.
    """
    sets = [
        build_dataset(name, data_root(config), cache_images=config.DATALOADER.CACHE_IMAGES)
        for name in config.DATASETS.TEST
    ]
    for dataset in sets:
        if not dataset.class_ids:
            raise DataError(f"data set {dataset.name!r} has no annotated box: there is nothing to evaluate")
    return sets


def evaluate(
    detector: Detector, sets: Sequence[DatasetOneShotDetection], classes: ObjectClasses, config: CfgNode, run: Run
) -> dict[str, Evaluation]:
    """Return the evaluation of every data set by its name; processes share the images, and each returns the whole.

    Precision over recall is kept as an artifact, of the last evaluation if there are several.
    """
    detector.eval()
    return {dataset.name: _evaluate_dataset(detector, dataset, classes, config, run) for dataset in sets}


def _evaluate_dataset(
    detector: Detector, dataset: DatasetOneShotDetection, classes: ObjectClasses, config: CfgNode, run: Run
) -> Evaluation:
    start = time.perf_counter()
    truth = [_ground_truth(dataset, image_id, classes) for image_id in dataset.image_ids]
    found = gather_shares(list(_detections(detector, dataset, config, run)))
    per_class = evaluate_detections(found, truth, [IOU_THRESHOLD])
    keep_curves(dataset.name, per_class, run)
    metrics = dict(voc_metrics(per_class))
    seconds = time.perf_counter() - start
    if rank() == 0:
        logger.info("Evaluated on %s in %.1f s with %d processes", dataset.name, seconds, world_size())
        mean_ap, recall = (metrics[at_iou(name, IOU_THRESHOLD)] for name in ("mAP", "recall"))
        logger.info("mAP@0.5: %.4f, recall@0.5: %.4f", mean_ap, recall)
    return Evaluation(metrics, seconds)


@dataclass(frozen=True)
class _SeenImages:
    """Number of an image -> its views."""

    dataset: DatasetOneShotDetection
    views: Sequence[View]

    def __getitem__(self, number: int) -> list[Tensor]:
        return seen_in(self.dataset.load_image(self.dataset.image_ids[number]), self.views)


def _detections(detector: Detector, dataset: DatasetOneShotDetection, config: CfgNode, run: Run) -> Iterator[BoxList]:
    """Yield the detections of this process's images; between images it looks whether the run should stop."""
    images, numbers = _SeenImages(dataset, views_of(config)), my_share(range(len(dataset)))
    workers = config.DATALOADER.NUM_WORKERS
    for seen in BatchLoader(images, numbers, workers, pin_memory=False, prefetch=2):
        if run.should_stop:
            run.interrupt()
        yield detect(detector, seen, images.views).to("cpu")


def _ground_truth(dataset: DatasetOneShotDetection, image_id: int, classes: ObjectClasses) -> BoxList:
    boxes = dataset.boxes(image_id)
    return boxes.with_field("labels", classes.numbers(boxes, f"data set {dataset.name!r}, image {image_id}"))
