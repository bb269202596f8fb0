"""The annotations that CrowdHuman publishes, as a file in COCO's format.

Light on purpose (no torch).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from os2d.data.images import read_image_size
from os2d.errors import DataError

CATEGORIES = [{"id": 1, "name": "person"}]

Entry = dict[str, Any]


def convert_odgt(odgt: Path, images: Path) -> Entry:
    """Return the content of a COCO file for whole bodies; ids count from 1 in the order of the lines.

    Boxes are those of whole bodies, which may leave the image; ``bbox_vis`` is the visible part. What CrowdHuman
    ignores becomes a crowd.

    Args:
        odgt: a JSON object per line, such as ``annotation_val.odgt``.
        images: folder of the images, which tell their sizes.

    Raises:
        DataError: a line or an image is wrong.
    """
    content: dict[str, list[Entry]] = {"images": [], "annotations": [], "categories": list(CATEGORIES)}
    for image_id, (line, record) in enumerate(_records(odgt), start=1):
        try:
            name = f"{record['ID']}.jpg"
            annotations = [_annotation(box, image_id) for box in record["gtboxes"]]
        except (KeyError, TypeError, ValueError) as e:
            raise DataError(
                f"{odgt}, line {line}: expected ID and gtboxes with fbox and vbox ({type(e).__name__}: {e})"
            ) from e
        size = read_image_size(images / name, lambda line=line: f"{odgt}, line {line}")  # type: ignore[misc]
        content["images"].append({"file_name": name, "id": image_id, "height": size.h, "width": size.w})
        content["annotations"] += annotations
    for annotation_id, annotation in enumerate(content["annotations"], start=1):
        annotation["id"] = annotation_id
    return content


def _records(odgt: Path) -> Iterator[tuple[int, Entry]]:
    try:
        lines = odgt.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as e:
        raise DataError(f"{odgt}: no such file; CrowdHuman publishes it beside its images") from e
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{odgt}: cannot be read: {e}") from e
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as e:
                raise DataError(f"{odgt}, line {number}: is not JSON: {e}") from e


def _annotation(box: Entry, image_id: int) -> Entry:
    x, y, width, height = box["fbox"]
    return {
        "id": 0,
        "category_id": 1,
        "image_id": image_id,
        "bbox_vis": box["vbox"],
        "bbox": [x, y, width, height],
        "area": width * height,
        "iscrowd": int(box.get("extra", {}).get("ignore", 0) == 1),
    }
