"""Draw the shelf data set once, into a cache that several processes share."""

from __future__ import annotations

import csv
import itertools
import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from os2d.data.generated_folder import ensure_folder
from os2d.data.shelf.design import Design, invent_design, invent_sibling
from os2d.data.shelf.light import studio
from os2d.data.shelf.parameters import ShelfParameters, shelf_folder
from os2d.data.shelf.product import Product, draw_product
from os2d.data.shelf.scene import Item, PlacedBox, draw_scene

logger = logging.getLogger(__name__)

COLUMNS = (
    *("imageid", "imagefilename", "classid", "classfilename", "gtbboxid", "difficult"),
    *("lx", "ty", "rx", "by", "split"),
)
MARGIN = 0.02
"""White border of a class image, relative to its longer side."""


@dataclass(frozen=True)
class ShelfExample:
    """Two files to try a detector on."""

    image: Path
    class_image: Path


def ensure_shelf(data_root: Path, parameters: ShelfParameters) -> Path:
    """Return the folder of the data set, drawn now if no process has drawn it before.

    The folder appears under its name only when it is complete.

    Raises:
        DataError: the data root cannot be written, or the disk is full.
    """
    folder = shelf_folder(data_root, parameters)
    return ensure_folder(folder, lambda new: draw_shelf(new, parameters), "the generated data set", megabytes=100)


def shelf_example(data_root: Path, parameters: ShelfParameters | None = None) -> ShelfExample:
    """Return an image with unseen products and the class image of one of them."""
    folder = ensure_shelf(data_root, parameters or ShelfParameters())
    with (folder / "classes" / "shelf.csv").open(encoding="utf-8", newline="") as file:
        row = next(r for r in csv.DictReader(file) if r["split"] == "val-new-cl" and r["difficult"] == "0")
    images = next((folder / "src").iterdir())
    return ShelfExample(images / row["imagefilename"], folder / "classes" / "images" / row["classfilename"])


def draw_shelf(folder: Path, parameters: ShelfParameters) -> None:
    """Draw the whole data set into a folder: class images, images and the annotation table."""
    logger.info("drawing the shelf data set")
    class_images, images = folder / "classes" / "images", folder / "src" / str(parameters.image_size)
    class_images.mkdir(parents=True)
    images.mkdir(parents=True)
    classes = parameters.train_classes + parameters.unseen_classes
    products = [draw_product(design) for design in _designs(parameters)]
    for class_id, product in enumerate(products[:classes]):
        _class_image(product, parameters, class_id).save(class_images / f"{class_id}.png")
    rows: list[tuple[object, ...]] = []
    plans = list(_plan_images(parameters))
    for number, (split, class_ids, seed) in enumerate(plans):
        rng = np.random.default_rng([parameters.seed, *seed])
        scene = draw_scene(_choose_items(class_ids, products, parameters, rng), parameters, rng)
        scene.picture.save(images / f"{number}.png", compress_level=3)
        rows += [_row(number, box, len(rows) + k, split) for k, box in enumerate(scene.boxes)]
        if (number + 1) % 25 == 0:
            logger.info("drew %d of %d images", number + 1, len(plans))
    with (folder / "classes" / "shelf.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def _plan_images(parameters: ShelfParameters) -> Iterator[tuple[str, range, tuple[int, int]]]:
    """Yield split, allowed classes and seed of every image."""
    seen = range(parameters.train_classes)
    unseen = range(parameters.train_classes, parameters.train_classes + parameters.unseen_classes)
    splits = (
        ("train", seen, parameters.train_images),
        ("val-old-cl", seen, parameters.val_images),
        ("val-new-cl", unseen, parameters.val_images),
    )
    for split, classes, count in splits:
        for number in range(count):
            yield split, classes, (zlib.crc32(split.encode()), number)


def _designs(parameters: ShelfParameters) -> list[Design]:
    """Return the designs of all classes, then of the strangers.

    Neighbouring classes may be flavours of one product, and strangers always are flavours of listed ones: to find a
    class it takes more than its main colour.
    """
    seeds = itertools.count()

    def fresh_rng() -> np.random.Generator:
        return np.random.default_rng([parameters.seed, zlib.crc32(b"design"), next(seeds)])

    designs: list[Design] = []
    for count in (parameters.train_classes, parameters.unseen_classes):
        for index in range(count):
            flavour = index % parameters.flavours
            designs.append(invent_sibling(designs[-flavour], fresh_rng()) if flavour else invent_design(fresh_rng()))
    for index in range(parameters.distractors):
        listed = designs[index * (parameters.train_classes + parameters.unseen_classes) // parameters.distractors]
        designs.append(invent_sibling(listed, fresh_rng()))
    return designs


def _choose_items(
    class_ids: range, products: list[Product], parameters: ShelfParameters, rng: np.random.Generator
) -> list[Item]:
    """Return what shall stand on the shelf, in order: facings of a few classes, strangers between them."""
    wanted = int(rng.integers(parameters.objects[0], parameters.objects[1] + 1))
    first_stranger = parameters.train_classes + parameters.unseen_classes
    groups: list[list[Item]] = []
    for class_id in rng.permutation(np.array(class_ids)).tolist():
        if sum(map(len, groups)) >= wanted:
            break
        facings = min(int(rng.choice([1, 1, 2, 3])), wanted - sum(map(len, groups)))
        groups.append([Item(products[class_id], class_id)] * facings)
    for _ in range(int(rng.integers(2, 5)) if parameters.distractors else 0):
        stranger = int(rng.integers(first_stranger, first_stranger + parameters.distractors))
        groups.insert(int(rng.integers(0, len(groups) + 1)), [Item(products[stranger], None)])
    return [item for group in groups for item in group]


def _class_image(product: Product, parameters: ShelfParameters, class_id: int) -> Image.Image:
    rng = np.random.default_rng([parameters.seed, zlib.crc32(b"class image"), class_id])
    inner = round(parameters.class_image_size * (1 - 2 * MARGIN))
    factor = inner / max(product.picture.size)
    size = (round(product.picture.width * factor), round(product.picture.height * factor))
    border = (parameters.class_image_size - inner) // 2
    page = Image.new("RGB", (size[0] + 2 * border, size[1] + 2 * border), (238, 238, 236))
    picture = studio(product.picture, rng).resize(size, Image.Resampling.LANCZOS)
    page.paste(picture, (border, border), product.mask.resize(size, Image.Resampling.LANCZOS))
    return page


def _row(image_id: int, box: PlacedBox, box_id: int, split: str) -> tuple[object, ...]:
    place = (box.lx, box.ty, box.rx, box.by)
    names = (image_id, f"{image_id}.png", box.class_id, f"{box.class_id}.png")
    return (*names, box_id, int(box.difficult), *place, split)
