"""ImageNet for RepMet's protocol: photos and annotations of ILSVRC, and the two pickles of the episodes.

A class is one product; the classes of the episodes are kept out of all training.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from os2d.data.catalog import EPISODES_FILE, REPMET_FOLDER, ROIDB_FILE, TEST_CLASSES_FILE
from os2d.data.repmet import PREFIX
from os2d.data.shelf.product import Product
from os2d.miniature.parameters import MiniatureParameters
from os2d.miniature.photo import Photo, draw_photo, save_photo
from os2d.miniature.products import invent_products, random_generator

TEST_WNIDS = tuple(f"n0100000{number}" for number in range(7))
TRAINING_WNIDS = tuple(f"n0200000{number}" for number in range(5))
TEST_PHOTOS, TRAINING_PHOTOS, VALIDATION_PHOTOS = 5, 4, 2
"""Of each class; photos for validation show the training classes."""
WAYS, QUERIES = 5, 1
"""Classes of an episode, and photos of each in which they are searched."""

ANNOTATION = """<annotation>
<folder>{folder}</folder><filename>{name}</filename>
<size><width>{width}</width><height>{height}</height><depth>3</depth></size>
{objects}</annotation>
"""
OBJECT = """<object><name>{wnid}</name><difficult>0</difficult>
<bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>
"""


def write_imagenet(root: Path, parameters: MiniatureParameters) -> None:
    """Write ``ImageNet-RepMet``; tables and class images are made from it when a data set is used first."""
    folder = root / REPMET_FOLDER
    products = invent_products(len(TEST_WNIDS) + len(TRAINING_WNIDS), parameters.seed, "imagenet")
    product_of = dict(zip(TEST_WNIDS + TRAINING_WNIDS, products, strict=True))
    test_photos: dict[str, Photo] = {}
    for wnid in product_of:
        for number in range(TEST_PHOTOS if wnid in TEST_WNIDS else TRAINING_PHOTOS):
            name = f"train/{wnid}/{wnid}_{number}"
            photo = _draw(product_of[wnid], name, parameters)
            _write_photo(folder, name, wnid, photo)
            if wnid in TEST_WNIDS:
                test_photos[f"Data/CLS-LOC/{name}.JPEG"] = photo
    for number, wnid in enumerate(TRAINING_WNIDS * VALIDATION_PHOTOS, start=1):
        name = f"val/ILSVRC2012_val_{number:08d}"
        photo = _draw(product_of[wnid], name, parameters)
        _write_photo(folder, name, wnid, photo)
    (folder / TEST_CLASSES_FILE).write_text("".join(f"{wnid}\n" for wnid in TEST_WNIDS), encoding="utf-8")
    _write_pickle(folder / ROIDB_FILE, _roidb(test_photos))
    episodes = [_episode(number, test_photos, parameters) for number in range(parameters.episodes)]
    _write_pickle(folder / EPISODES_FILE, episodes)


def _draw(product: Product, name: str, parameters: MiniatureParameters) -> Photo:
    rng = random_generator(parameters.seed, name)
    return draw_photo([product], parameters.photo_size, parameters.object_px, rng)


def _write_photo(folder: Path, name: str, wnid: str, photo: Photo) -> None:
    """Write a photo and its annotation."""
    save_photo(photo.picture, folder / "ILSVRC" / "Data" / "CLS-LOC" / f"{name}.JPEG")
    annotation = folder / "ILSVRC" / "Annotations" / "CLS-LOC" / f"{name}.xml"
    annotation.parent.mkdir(parents=True, exist_ok=True)
    width, height = photo.picture.size
    objects = "".join(OBJECT.format(wnid=wnid, box=box) for box in photo.boxes_xyxy)
    text = ANNOTATION.format(
        folder=annotation.parent.name, name=annotation.stem, width=width, height=height, objects=objects
    )
    annotation.write_text(text, encoding="utf-8")


def _roidb(photos: dict[str, Photo]) -> dict[str, Any]:
    """Return what RepMet knows of the photos; its classes are numbered in their order."""
    entries = [
        {
            "image": PREFIX + path,
            "width": float(photo.picture.width),
            "height": float(photo.picture.height),
            "flipped": False,
            "boxes": np.array(photo.boxes_xyxy, np.uint16),
            "gt_classes": np.array([_class_id(path)] * len(photo.boxes_xyxy), np.int32),
        }
        for path, photo in photos.items()
    ]
    return {"roidb": entries, "classes": list(TEST_WNIDS)}


def _episode(number: int, photos: dict[str, Photo], parameters: MiniatureParameters) -> dict[str, Any]:
    """Return some classes, an example of each, and photos in which all of them are searched."""
    rng = random_generator(parameters.seed, "episode", number)
    class_ids = np.sort(rng.permutation(len(TEST_WNIDS))[:WAYS])
    examples: list[list[Any]] = []
    queries: list[str] = []
    for class_id in class_ids.tolist():
        chosen = rng.permutation([path for path in photos if _class_id(path) == class_id]).tolist()
        box = np.array(photos[chosen[0]].boxes_xyxy[:1], np.uint16)
        examples.append([class_id, 0, PREFIX + chosen[0], box])
        queries += [PREFIX + path for path in chosen[1 : 1 + QUERIES]]
    return {
        "epi_cats": class_ids,
        "epi_cats_names": [TEST_WNIDS[class_id] for class_id in class_ids],
        "query_images": queries,
        "train_boxes": examples,
    }


def _class_id(path: str) -> int:
    return TEST_WNIDS.index(Path(path).parent.name)


def _write_pickle(file: Path, content: object) -> None:
    """Write a pickle of the protocol that the published files have."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        pickle.dump(content, stream, protocol=2)
