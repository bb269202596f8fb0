"""Detections of many images as JSON, CSV or in COCO's format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from os2d.structures.detection import Detection

SCORE_DIGITS, PIXEL_DIGITS = 6, 3
CSV_COLUMNS = ("image", "frame", "class", "score", "x1", "y1", "x2", "y2", "corners")


@dataclass(frozen=True)
class Record:
    """What was found in one image.

    Args:
        image: name of its file.
        frame: number of the frame, from 0; None: the file is no video.
        width: of the image, in pixels.
        height: of the image, in pixels.
        detections: best first.
    """

    image: str
    frame: int | None
    width: int
    height: int
    detections: Sequence[Detection]


def as_json(records: Sequence[Record], about: Mapping[str, Any]) -> str:
    """Return an object with an entry per image, behind what is true of all of them."""
    images = [
        {
            "image": record.image,
            **({} if record.frame is None else {"frame": record.frame}),
            "width": record.width,
            "height": record.height,
            "detections": [plain(one) for one in record.detections],
        }
        for record in records
    ]
    return json.dumps({**about, "images": images}, indent=1, ensure_ascii=False)


def plain(one: Detection) -> dict[str, Any]:
    """Return a detection as plain values; pixels are rounded to thousandths."""
    corners = None if one.corners is None else [_rounded(corner) for corner in one.corners]
    return {
        "class": one.label,
        "score": round(one.score, SCORE_DIGITS),
        "box": _rounded(one.box_xyxy),
        "corners": corners,
    }


def as_csv(records: Sequence[Record]) -> str:
    """Return a line per detection; ``corners`` holds eight numbers with spaces between them, or nothing."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(CSV_COLUMNS)
    for record in records:
        frame = "" if record.frame is None else record.frame
        for one in record.detections:
            corners = " ".join(str(value) for corner in one.corners or () for value in _rounded(corner))
            score = round(one.score, SCORE_DIGITS)
            table.writerow([record.image, frame, one.label, score, *_rounded(one.box_xyxy), corners])
    return text.getvalue()


def as_coco(records: Sequence[Record], names: Sequence[str]) -> str:
    """Return a file of COCO's format whose annotations have a ``score``.

    Its ``annotations`` alone are what evaluations of COCO take as results.
    """
    category_of = {name: number for number, name in enumerate(names, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, record in enumerate(records, 1):
        frame = {} if record.frame is None else {"frame": record.frame}
        size = {"width": record.width, "height": record.height}
        images.append({"id": image_id, "file_name": record.image, **size, **frame})
        for one in record.detections:
            x1, y1, x2, y2 = one.box_xyxy
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category_of[one.label],
                    "bbox": _rounded((x1, y1, x2 - x1, y2 - y1)),
                    "area": round((x2 - x1) * (y2 - y1), PIXEL_DIGITS),
                    "iscrowd": 0,
                    "score": round(one.score, SCORE_DIGITS),
                }
            )
    categories = [{"id": number, "name": name} for name, number in category_of.items()]
    content = {"images": images, "categories": categories, "annotations": annotations}
    return json.dumps(content, indent=1, ensure_ascii=False)


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, PIXEL_DIGITS) for value in values]
