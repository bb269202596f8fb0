"""Evaluation: which classes are searched in which image, what is found, and how good it is (OS2D's VOC protocol).

Published CoAE searches in an image only the classes that are annotated in it, so absent classes cannot be found by
mistake; OS2D and detector + retrieval search every class. Both can be asked for; numbers of the two do not compare.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from yacs.config import CfgNode

from baselines.coae.data.eval_images import EvalImages, query_views
from baselines.coae.data.records import ImageRecord, Records
from baselines.coae.engine.detection import DetectionRule, detect
from baselines.coae.modeling.matching import Matcher, QueryFeatures
from baselines.coae.modeling.model import CoAE
from os2d.choices import choose
from os2d.data.batch_loader import BatchLoader
from os2d.data.catalog import data_root
from os2d.data.dataset import build_dataset
from os2d.distributed import rank
from os2d.engine.average_precision import evaluate_detections
from os2d.engine.evaluation import Evaluation, voc_metrics
from os2d.engine.sharding import gather_shares, my_share
from os2d.errors import DataError
from os2d.run import Run
from os2d.structures.boxes import BoxList

logger = logging.getLogger(__name__)

CLASSES_AT_ONCE = 32
"""Class images whose views are prepared together."""


def build_evaluation_sets(config: CfgNode) -> list[Records]:
    """Return the data sets of ``eval``.

    Raises:
        DataError: there is no box to find in one of them, or it has no class images.
    """
    sets = [Records(build_dataset(name, data_root(config))) for name in config.eval.dataset_names]
    for records in sets:
        if not records.class_ids:
            raise DataError(f"data set {records.dataset.name!r} has no annotated box: there is nothing to evaluate")
    return sets


def evaluate_model(model: CoAE, sets: Sequence[Records], config: CfgNode, run: Run) -> OrderedDict[str, Evaluation]:
    """Return the evaluation of every data set by its name; the network is left in evaluation mode."""
    return OrderedDict((records.dataset.name, evaluate_dataset(model, records, config, run)) for records in sets)


def evaluate_dataset(model: CoAE, records: Records, config: CfgNode, run: Run) -> Evaluation:
    """Return the evaluation of one data set; processes share the images, and each returns the whole.

    Between images it looks whether the run should stop; whoever calls it has saved what is to be resumed.
    """
    start = time.perf_counter()
    matcher, rule = Matcher(model), DetectionRule.from_config(config)
    queries = learn_classes(matcher, records, config)
    views = len(queries) // len(records.class_ids)
    images = EvalImages(records, config.eval.scales)
    numbers = my_share(range(len(images)))
    mine: list[tuple[BoxList, BoxList]] = []
    loader = BatchLoader(images, numbers, config.runtime.num_workers, pin_memory=False, prefetch=1)
    for number, image in zip(numbers, loader, strict=True):
        if run.should_stop:
            run.interrupt()
        classes = searched_classes(records.images[number], len(records.class_ids), config.eval.searched_classes)
        of_image = queries[rows_of(classes, views)]
        class_ids = [records.class_ids[number - 1] for number in classes]
        mine.append((detect(matcher, image, of_image, class_ids, rule), image.truth))
    pairs = gather_shares(mine)
    detections, truth = [found for found, _ in pairs], [boxes for _, boxes in pairs]
    per_class = evaluate_detections(detections, truth, config.eval.mAP_iou_thresholds)
    metrics = OrderedDict(voc_metrics(per_class))
    seconds = time.perf_counter() - start
    if rank() == 0:
        _tell(records.dataset.name, metrics, seconds)
    image_ids = [record.image_id for record in records.images]
    return Evaluation(metrics, seconds, image_ids, detections, truth, per_class)


def learn_classes(matcher: Matcher, records: Records, config: CfgNode) -> QueryFeatures:
    """Return the features of all class images, all views of a class together."""
    numbers = range(1, len(records.class_ids) + 1)
    size, augmentation = config.model.query_size, config.eval.class_image_augmentation
    parts = [
        matcher.learn(
            torch.cat(
                [query_views(records.class_image(n), size, augmentation) for n in numbers[k : k + CLASSES_AT_ONCE]]
            )
        )
        for k in range(0, len(numbers), CLASSES_AT_ONCE)
    ]
    return QueryFeatures(torch.cat([part.features_QChw for part in parts]))


def searched_classes(record: ImageRecord, num_classes: int, which: str) -> list[int]:
    """Return the numbers of the classes that are searched in an image, rising.

    Args:
        record: the image.
        num_classes: of the data set.
        which: ``present`` or ``all``.
    """
    only_present = choose("eval.searched_classes", which, {"present": True, "all": False})
    return np.unique(record.classes_N).tolist() if only_present else list(range(1, num_classes + 1))


def rows_of(classes: Sequence[int], views: int) -> torch.Tensor:
    """Return the rows of all views of some classes."""
    first = (torch.tensor(classes, dtype=torch.int64) - 1) * views
    return (first[:, None] + torch.arange(views)).flatten()


def _tell(name: str, metrics: Mapping[str, float], seconds: float) -> None:
    """Log the result in the lines that the published program prints, which others read."""
    logger.info("Evaluating detections")
    for metric in (metric for metric in metrics if metric.startswith(("mAP@", "mAPw@", "recall@"))):
        logger.info("%s: %.4f", metric, metrics[metric])
    logger.info("Evaluated on %s in %.1f seconds", name, seconds)
