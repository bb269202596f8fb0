"""What a task leaves behind at its end besides numbers: pictures, and a table per class."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import torch

from baselines.coae.data.records import Records
from os2d.engine.evaluation import Evaluation
from os2d.engine.final_report import PICTURED_IMAGES, per_class_table
from os2d.run import Run
from os2d.visualization.detection_grid import GridRow, detection_grid

logger = logging.getLogger(__name__)

PICTURED_DETECTIONS = 10


def report(evaluations: Mapping[str, Evaluation], sets: Sequence[Records], run: Run) -> None:
    """Keep the artifacts ``pictures/<data set>.png`` and ``per_class/<data set>.csv``."""
    for records in sets:
        name = records.dataset.name
        numbers = [n for n, record in enumerate(records.images) if len(record.boxes_N4)][:PICTURED_IMAGES]
        run.artifact(f"pictures/{name}.png", detection_grid([_row(records, evaluations[name], n) for n in numbers]))
        table = per_class_table(evaluations[name].per_class)
        run.artifact(f"per_class/{name}.csv", table)
        logger.info("per class, %s:\n%s", name, table)


def _row(records: Records, evaluation: Evaluation, number: int) -> GridRow:
    record, truth, found = records.images[number], evaluation.ground_truth[number], evaluation.detections[number]
    scores = found.field("scores")
    shown = found[torch.topk(scores, min(PICTURED_DETECTIONS, len(scores))).indices]
    classes = dict.fromkeys([*truth.field("labels").tolist(), *shown.field("labels").tolist()])
    return GridRow(
        title=f"image {record.image_id}",
        image=records.image(record),
        ground_truth=truth,
        detections=shown,
        class_images={class_id: records.dataset.class_image(class_id) for class_id in classes},
    )
