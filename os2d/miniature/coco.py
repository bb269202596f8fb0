"""COCO: photos of packages, whose categories are their shapes, with annotation files in COCO's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from os2d.data.shelf.product import Product
from os2d.miniature.parameters import MiniatureParameters
from os2d.miniature.photo import draw_photo, save_photo
from os2d.miniature.products import invent_products, random_generator

CATEGORIES = ("carton", "bottle", "can")
PHOTOS = {"train2017": 27, "val2017": 9}
PHOTO_SIZE = (160, 128)
OBJECT_PX = ((99.0, 103.0), (50.0, 70.0), (32.0, 36.0))
"""Of the photos, in turns: large, medium and small by COCO's measure of 32 x 32 and 96 x 96 pixels."""


def write_coco(root: Path, parameters: MiniatureParameters) -> None:
    """Write ``coco`` with the parts that its published detectors learn from and are measured on."""
    folder = root / "coco"
    (folder / "annotations").mkdir(parents=True)
    for part, count in PHOTOS.items():
        products = invent_products(count, parameters.seed, part, CATEGORIES)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number in range(count):
            file = folder / part / f"{number:012d}.jpg"
            width, height = _write_photo(file, products, number, annotations, parameters)
            images.append({"id": number, "file_name": file.name, "width": width, "height": height})
        content = {"images": images, "annotations": annotations, "categories": _categories()}
        (folder / "annotations" / f"instances_{part}.json").write_text(json.dumps(content), encoding="utf-8")


def _categories() -> list[dict[str, Any]]:
    return [{"id": number, "name": name} for number, name in enumerate(CATEGORIES, start=1)]


def _write_photo(
    file: Path, products: list[Product], number: int, annotations: list[dict[str, Any]], parameters: MiniatureParameters
) -> tuple[int, int]:
    """Write a photo of a package, or of two small ones, add annotations, and return its width and height."""
    rng = random_generator(parameters.seed, file.parent.name, "photo", number)
    object_px = OBJECT_PX[number // len(CATEGORIES) % len(OBJECT_PX)]
    shown = [number, (number + 1) % len(products)] if object_px == OBJECT_PX[-1] else [number]
    photo = draw_photo([products[index] for index in shown], PHOTO_SIZE, object_px, rng)
    save_photo(photo.picture, file)
    for index, (left, top, right, bottom) in zip(shown, photo.boxes_xyxy, strict=True):
        width, height = right - left, bottom - top
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": index % len(CATEGORIES) + 1,
                "bbox": [left, top, width, height],
                "area": width * height,
                "iscrowd": 0,
            }
        )
    return photo.picture.size
