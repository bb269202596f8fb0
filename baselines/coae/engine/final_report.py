"""What a task leaves behind at its end besides numbers: pictures, curves, a table per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch

from baselines.coae.data.records import Records
from os2d.engine.evaluation import Evaluation
from os2d.engine.final_report import PICTURED_IMAGES, PICTURED_SETS, keep_pictures, keep_results
from os2d.run import Run
from os2d.visualization.detection_grid import GridRow

PICTURED_DETECTIONS = 10


def report(evaluations: Mapping[str, Evaluation], sets: Sequence[Records], run: Run) -> None:
    """Keep what :mod:`os2d.engine.final_report` does: results of every data set, and pictures of the first ones."""
    for position, records in enumerate(sets):
        name = records.dataset.name
        evaluation = evaluations[name]
        if position < PICTURED_SETS:
            numbers = [n for n, record in enumerate(records.images) if len(record.boxes_N4)][:PICTURED_IMAGES]
            keep_pictures(name, evaluation, numbers, partial(_row, records, evaluation), run)
        keep_results(name, evaluation, run)


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
