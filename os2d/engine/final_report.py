"""What a task leaves behind at its end besides numbers: pictures, a table per class, the detections."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from yacs.config import CfgNode

from os2d.engine.average_precision import VocResult
from os2d.engine.evaluation import Evaluation, EvaluationSet, images_with_boxes
from os2d.engine.pictures import best_detections
from os2d.run import Run
from os2d.visualization.detection_grid import GridRow, detection_grid

logger = logging.getLogger(__name__)

PICTURED_IMAGES = 4


def report(evaluations: Mapping[str, Evaluation], sets: Sequence[EvaluationSet], config: CfgNode, run: Run) -> None:
    """Keep the artifacts ``pictures/<data set>.png`` and ``per_class/<data set>.csv``."""
    for evaluated in sets:
        name = evaluated.dataset.name
        rows = [
            _row(evaluated, evaluations[name], i, config) for i in images_with_boxes(evaluated.dataset, PICTURED_IMAGES)
        ]
        run.artifact(f"pictures/{name}.png", detection_grid(rows))
        table = per_class_table(evaluations[name].per_class)
        run.artifact(f"per_class/{name}.csv", table)
        logger.info("per class, %s:\n%s", name, table)


def _row(evaluated: EvaluationSet, evaluation: Evaluation, image_id: int, config: CfgNode) -> GridRow:
    dataset, index = evaluated.dataset, evaluation.image_ids.index(image_id)
    truth = evaluation.ground_truth[index]
    shown = best_detections(evaluation.detections[index], config.visualization.eval)
    classes = dict.fromkeys([*truth.field("labels").tolist(), *shown.field("labels").tolist()])
    return GridRow(
        title=f"image {image_id}",
        image=dataset.load_image(image_id),
        ground_truth=truth,
        detections=shown,
        class_images={class_id: dataset.class_image(class_id) for class_id in classes},
    )


def per_class_table(per_threshold: Mapping[float, VocResult]) -> str:
    """Return a table of average precision, recall and positives of every class at every IoU threshold, as CSV."""
    lines = ["iou_threshold,class_id,average_precision,recall,positives"]
    for threshold, voc in per_threshold.items():
        columns = (voc.class_ids, voc.ap_per_class, voc.recall_per_class, voc.positives_per_class)
        for class_id, ap, recall, positives in zip(*columns, strict=True):
            lines.append(f"{threshold:.2f},{class_id},{ap:.4f},{recall:.4f},{positives}")
    return "\n".join(lines) + "\n"
