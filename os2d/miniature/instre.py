"""INSTRE: photos of one thing (S1, S2) and of two (M), a text file of boxes beside each, and the ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from os2d.data.instre import GROUND_TRUTH
from os2d.data.shelf.product import Product
from os2d.miniature.parameters import MiniatureParameters
from os2d.miniature.photo import Box, draw_photo, save_photo
from os2d.miniature.products import invent_products, random_generator

CLASSES = 20
"""Of each part; the least number of which 5 % are a class."""
PHOTOS = 2
"""Of one class alone, in each part."""
HEADER, HEADER_BYTES = b"MATLAB 5.0 MAT-file", 116
"""Text at the start of a MATLAB file; scipy would write the time into it, and no two files were equal."""


def write_instre(root: Path, parameters: MiniatureParameters) -> None:
    """Write the folder ``instre`` as it is published; the table is made from it when the data set is used first."""
    folder = root / "instre"
    singles = {part: invent_products(CLASSES, parameters.seed, part) for part in ("INSTRE-S1", "INSTRE-S2")}
    boxes: dict[str, list[Box]] = {}
    shown: dict[str, list[str]] = {}
    for part, products in singles.items():
        for number, product in enumerate(products):
            name = _class_folder(part, number)
            shown[name] = [f"{name}/{photo:03d}.jpg" for photo in range(1, PHOTOS + 1)]
            boxes |= {photo: _draw(folder, photo, [product], parameters) for photo in shown[name]}
    pairs: list[str] = []
    for number in range(0, CLASSES, 2):
        photo = f"INSTRE-M/{number // 2 + 1:02d}_pair/001.jpg"
        boxes[photo] = _draw(folder, photo, singles["INSTRE-S1"][number : number + 2], parameters)
        pairs.append(photo)
        for member in (number, number + 1):
            shown[_class_folder("INSTRE-S1", member)].append(photo)
    queries = {photos[0]: photos for photos in shown.values()} | {photo: [photo] for photo in pairs}
    _write_ground_truth(folder / GROUND_TRUTH, queries, boxes)


def _class_folder(part: str, number: int) -> str:
    """Return the folder of a class; in S1 its third letter tells which of two boxes in M is this class."""
    kind = "ab"[number % 2] if part == "INSTRE-S1" else ""
    return f"{part}/{number // 2 + 1:02d}{kind}_thing{number}"


def _draw(folder: Path, photo: str, products: Sequence[Product], parameters: MiniatureParameters) -> list[Box]:
    """Write a photo with its text file, a line ``x y width height`` per thing; return the boxes."""
    rng = random_generator(parameters.seed, photo)
    drawn = draw_photo(products, parameters.photo_size, parameters.object_px, rng)
    save_photo(drawn.picture, folder / photo)
    lines = [f"{left} {top} {right - left} {bottom - top}\n" for left, top, right, bottom in drawn.boxes_xyxy]
    (folder / photo).with_suffix(".txt").write_text("".join(lines), encoding="ascii")
    return drawn.boxes_xyxy


def _write_ground_truth(file: Path, positives: Mapping[str, Sequence[str]], boxes: Mapping[str, Sequence[Box]]) -> None:
    """Write the MATLAB file; the box of a query is around all that its photo shows, and photos count from 1."""
    from scipy.io import savemat  # needed for this data set only, once

    photos = list(boxes)
    truths = np.empty((1, len(positives)), dtype=[("ok", object), ("bbx", object)])
    for position, (query, shown) in enumerate(positives.items()):
        corners = np.array(boxes[query], dtype=float)
        whole = [[*corners[:, :2].min(axis=0), *corners[:, 2:].max(axis=0)]]
        numbers = [[photos.index(photo) + 1 for photo in shown]]
        truths[0, position] = (np.array(numbers, dtype=np.uint16), np.array(whole))
    content = BytesIO()
    savemat(content, {"qimlist": _cells(list(positives)), "imlist": _cells(photos), "gnd": truths})
    file.write_bytes(HEADER.ljust(HEADER_BYTES) + content.getvalue()[HEADER_BYTES:])


def _cells(texts: Sequence[str]) -> np.ndarray:
    cells = np.empty((1, len(texts)), dtype=object)
    cells[0] = texts
    return cells
