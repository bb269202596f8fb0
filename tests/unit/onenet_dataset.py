"""Tiny data sets in COCO's format, drawn on disk."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from yacs.config import CfgNode

from baselines.onenet.config import default_config
from baselines.onenet.data.catalog import DatasetSource

Entry = dict[str, Any]


def annotation(id: int, image_id: int, category_id: int, bbox: Sequence[float], **more: Any) -> Entry:
    return {"id": id, "image_id": image_id, "category_id": category_id, "bbox": list(bbox), **more}


def write_coco(
    folder: Path, images: Mapping[int, tuple[int, int]], annotations: Sequence[Entry], categories: Mapping[int, str]
) -> DatasetSource:
    """Write noise images, id -> (width, height), and an annotation file."""
    (folder / "images").mkdir(parents=True)
    for id, (width, height) in images.items():
        pixels = np.random.default_rng(id).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{id}.png")
    source = DatasetSource("tiny", folder / "annotations.json", folder / "images")
    write_annotations(source.annotations, images, annotations, categories)
    return source


def write_annotations(
    path: Path, images: Mapping[int, tuple[int, int]], annotations: Sequence[Entry], categories: Mapping[int, str]
) -> None:
    content = {
        "images": [{"id": id, "file_name": f"{id}.png", "width": w, "height": h} for id, (w, h) in images.items()],
        "annotations": list(annotations),
        "categories": [{"id": id, "name": name} for id, name in categories.items()],
    }
    path.write_text(json.dumps(content), encoding="utf-8")


def config_for(source: DatasetSource, classes: int) -> CfgNode:
    config = default_config()
    config.MODEL.DEVICE = "cpu"
    config.MODEL.OneNet.NUM_CLASSES = classes
    config.DATALOADER.NUM_WORKERS = 0
    config.DATASETS.REGISTERED = [["tiny", str(source.images.absolute()), str(source.annotations.absolute())]]
    config.DATASETS.TRAIN = config.DATASETS.TEST = ("tiny",)
    return config
