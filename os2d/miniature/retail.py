"""GroZi, Dairy and Paste: photos of shelves, class images and an annotation table each."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from os2d.data.shelf.product import Product
from os2d.data.shelf.scene import Item, draw_scene
from os2d.miniature.parameters import SHELVES, MiniatureParameters
from os2d.miniature.photo import save_photo
from os2d.miniature.products import class_image, invent_products, random_generator

COLUMNS = (
    *("imageid", "imagefilename", "classid", "classfilename", "gtbboxid", "difficult"),
    *("lx", "ty", "rx", "by"),
)
STRANGERS = 2
"""Products of no class on every photo."""


@dataclass(frozen=True)
class RetailSet:
    """One data set.

    Args:
        name: of its folder and its table.
        photos: folder of the photos.
        groups: what stands on the photos, in their order.
    """

    name: str
    photos: str
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Group:
    """Photos that show the same classes.

    Args:
        classes: first class and the one behind the last -> the split of their boxes; "" in a set without splits.
        photos: how many.
    """

    classes: dict[tuple[int, int], str]
    photos: int


SETS = (
    RetailSet(
        "grozi",
        "src/3264",
        (Group({(0, 8): "train"}, photos=6), Group({(0, 8): "val-old-cl", (8, 12): "val-new-cl"}, photos=2)),
    ),
    RetailSet("dairy", "src/original", (Group({(0, 5): ""}, photos=2),)),
    RetailSet("paste", "src/original", (Group({(0, 5): ""}, photos=3),)),
)


def write_retail_sets(root: Path, parameters: MiniatureParameters) -> None:
    """Write the three data sets into their folders below ``root``."""
    for retail_set in SETS:
        _write(root / retail_set.name, retail_set, parameters.seed)


def _write(folder: Path, retail_set: RetailSet, seed: int) -> None:
    count = max(end for group in retail_set.groups for _, end in group.classes)
    products = invent_products(count, seed, retail_set.name)
    strangers = invent_products(STRANGERS, seed, f"{retail_set.name}, strangers")
    for class_id, product in enumerate(products):
        rng = random_generator(seed, retail_set.name, "class image", class_id)
        save_photo(
            class_image(product, SHELVES.class_image_size, rng), folder / "classes" / "images" / f"{class_id}.jpg"
        )
    rows: list[list[object]] = []
    image_id = 0
    for group in retail_set.groups:
        split_of = {c: split for (first, end), split in group.classes.items() for c in range(first, end)}
        for _ in range(group.photos):
            rng = random_generator(seed, retail_set.name, "photo", image_id)
            scene = draw_scene(_items(sorted(split_of), products, strangers, rng), SHELVES, rng)
            save_photo(scene.picture, folder / retail_set.photos / f"{image_id}.jpg")
            for box in scene.boxes:
                names = [image_id, f"{image_id}.jpg", box.class_id, f"{box.class_id}.jpg"]
                place = [box.lx, box.ty, box.rx, box.by]
                rows.append([*names, len(rows), int(box.difficult), *place, split_of[box.class_id]])
            image_id += 1
    _write_table(folder / "classes" / f"{retail_set.name}.csv", rows)


def _items(
    class_ids: Sequence[int], products: Sequence[Product], strangers: Sequence[Product], rng: np.random.Generator
) -> list[Item]:
    """Return what stands on the shelves, in order: as many different classes as there is room for, and strangers."""
    items = [Item(products[class_id], class_id) for class_id in rng.permutation(class_ids).tolist()]
    for stranger in strangers:
        items.insert(int(rng.integers(0, SHELVES.objects[0])), Item(stranger, None))
    return items


def _write_table(file: Path, rows: Sequence[Sequence[object]]) -> None:
    """Write the rows; splits only where there are any."""
    columns = [*COLUMNS, "split"] if any(row[-1] for row in rows) else list(COLUMNS)
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([columns, *(row[: len(columns)] for row in rows)])
