"""What a task leaves behind at its end besides numbers: pictures, curves, a table per class."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from yacs.config import CfgNode

from os2d.engine.average_precision import VocResult
from os2d.engine.evaluation import Evaluation, EvaluationSet, images_with_boxes
from os2d.engine.image_ranking import worst_and_best
from os2d.engine.pictures import best_detections
from os2d.engine.precision_recall import MEAN, POOLED, Curve, curve_file, curves_json
from os2d.run import Run
from os2d.visualization.detection_grid import GridRow, detection_grid

logger = logging.getLogger(__name__)

PICTURED_IMAGES = 4
EXTREME_IMAGES = 3
"""So many images each are shown of those with the lowest and the highest average precision."""

PICTURED_SETS = 8
"""Of the hundreds of episodes of one evaluation, the first ones are shown."""

DRAWN_IOU = 0.5
"""Of several IoU thresholds the curves of this one are kept, or else of the lowest."""


def report(evaluations: Mapping[str, Evaluation], sets: Sequence[EvaluationSet], config: CfgNode, run: Run) -> None:
    """Keep the artifacts of :func:`keep_results` of every data set, and of the first ones :func:`keep_pictures`."""
    for position, evaluated in enumerate(sets):
        name = evaluated.dataset.name
        evaluation = evaluations[name]
        if position < PICTURED_SETS:
            numbers = [evaluation.image_ids.index(i) for i in images_with_boxes(evaluated.dataset, PICTURED_IMAGES)]
            keep_pictures(name, evaluation, numbers, partial(_row, evaluated, evaluation, config), run)
        keep_results(name, evaluation, run)


def keep_pictures(
    name: str, evaluation: Evaluation, first: Sequence[int], row_of: Callable[[int], GridRow], run: Run
) -> None:
    """Keep ``pictures/<data set>.png`` of the first images, and ``-worst.png`` and ``-best.png``.

    Args:
        name: of the data set.
        evaluation: of all its images.
        first: numbers of the images that are always shown.
        row_of: number of an image -> how it is shown.
        run: keeps the artifacts.
    """
    run.artifact(f"pictures/{name}.png", detection_grid([row_of(number) for number in first]))
    worst, best = worst_and_best(evaluation.detections, evaluation.ground_truth, EXTREME_IMAGES)
    for kind, images in (("worst", worst), ("best", best)):
        if images:
            rows = [_titled(row_of(image.number), image.average_precision) for image in images]
            run.artifact(f"pictures/{name}-{kind}.png", detection_grid(rows))


def keep_results(name: str, evaluation: Evaluation, run: Run) -> None:
    """Keep ``precision_recall/<data set>.json`` and ``per_class/<data set>.csv``."""
    keep_curves(name, evaluation.per_class, run)
    table = per_class_table(evaluation.per_class)
    run.artifact(f"per_class/{name}.csv", table)
    logger.info("per class, %s:\n%s", name, table)


def keep_curves(name: str, per_threshold: Mapping[float, VocResult], run: Run) -> None:
    """Keep precision over recall of a data set."""
    threshold = DRAWN_IOU if DRAWN_IOU in per_threshold else min(per_threshold)
    voc = per_threshold[threshold]
    curves = {POOLED: Curve(voc.curve.pooled, voc.ap_pooled_classes), MEAN: Curve(voc.curve.mean, voc.mean_ap)}
    run.artifact(curve_file(name), curves_json(name, threshold, curves))


def _row(evaluated: EvaluationSet, evaluation: Evaluation, config: CfgNode, number: int) -> GridRow:
    dataset, image_id = evaluated.dataset, evaluation.image_ids[number]
    truth = evaluation.ground_truth[number]
    shown = best_detections(evaluation.detections[number], config.visualization.eval)
    classes = dict.fromkeys([*truth.field("labels").tolist(), *shown.field("labels").tolist()])
    return GridRow(
        title=f"image {image_id}",
        image=dataset.load_image(image_id),
        ground_truth=truth,
        detections=shown,
        class_images={class_id: dataset.class_image(class_id) for class_id in classes},
    )


def _titled(row: GridRow, average_precision: float) -> GridRow:
    return replace(row, title=f"{row.title}, AP {average_precision:.2f}")


def per_class_table(per_threshold: Mapping[float, VocResult]) -> str:
    """Return a table of average precision, recall and positives of every class at every IoU threshold, as CSV."""
    lines = ["iou_threshold,class_id,average_precision,recall,positives"]
    for threshold, voc in per_threshold.items():
        columns = (voc.class_ids, voc.ap_per_class, voc.recall_per_class, voc.positives_per_class)
        for class_id, ap, recall, positives in zip(*columns, strict=True):
            lines.append(f"{threshold:.2f},{class_id},{ap:.4f},{recall:.4f},{positives}")
    return "\n".join(lines) + "\n"
