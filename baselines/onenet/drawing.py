"""Detections drawn into a picture."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from baselines.onenet.structures import Detections
from os2d.structures.detection import Detection
from os2d.visualization.found_objects import colours_of, draw_found


def named(detections: Detections, names: Sequence[str]) -> list[Detection]:
    """Return detections on the CPU with the names of their classes."""
    columns = (detections.boxes_N4, detections.scores_N, detections.classes_N)
    return [
        Detection(names[number], score, (x1, y1, x2, y2))
        for (x1, y1, x2, y2), score, number in zip(*(column.tolist() for column in columns), strict=True)
    ]


def draw_detections(picture: Image.Image, detections: Detections, names: Sequence[str]) -> Image.Image:
    """Return the picture with boxes, names of classes and scores; the best are drawn last, on top."""
    return draw_found(picture, named(detections, names), colours_of(names))
