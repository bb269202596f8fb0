"""The data sets that a configuration names: where their images and annotations lie.

Light on purpose (no torch): planners call it for every trial.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yacs.config import CfgNode

from os2d.download.how_to_get import how_to_get
from os2d.errors import ConfigError

ROOT_VARIABLE = "DETECTRON2_DATASETS"

PUBLISHED: Mapping[str, tuple[str, str]] = {
    "coco_2017_train": ("coco/train2017", "coco/annotations/instances_train2017.json"),
    "coco_2017_val": ("coco/val2017", "coco/annotations/instances_val2017.json"),
    "CrowdHuman_train": ("crowdhuman/CrowdHuman_train", "crowdhuman/annotations/train.json"),
    "CrowdHuman_val": ("crowdhuman/CrowdHuman_val", "crowdhuman/annotations/val.json"),
}
"""Name -> folder of images and annotation file, below the root."""

CROWDHUMAN = ("CrowdHuman_train", "CrowdHuman_val")
"""Data sets that are also measured by the rules of CrowdHuman."""


BY_HAND_CROWDHUMAN = (
    "download CrowdHuman from crowdhuman.org into datasets/crowdhuman, and convert its annotations: "
    "python baselines/onenet/convert_crowdhuman_to_coco.py"
)


@dataclass(frozen=True)
class DatasetSource:
    """Files of one data set.

    Args:
        name: as the configuration has it.
        annotations: file in COCO's format.
        images: folder that the names of image files are relative to.
    """

    name: str
    annotations: Path
    images: Path

    @property
    def is_published(self) -> bool:
        """Return whether others know the data set by this name, too."""
        return self.name in PUBLISHED

    @property
    def label(self) -> str:
        """Return a name for logs and folders."""
        return self.annotations.stem if ".json" in self.name else self.name


def find_source(name: str, config: CfgNode) -> DatasetSource:
    """Return the files behind an entry of ``DATASETS.TRAIN`` or ``DATASETS.TEST``; nothing is opened.

    An entry is a published name, one of ``DATASETS.REGISTERED``, or the path of an annotation file: ``FILE.json`` or
    ``FILE.json:FOLDER``. Without a folder the images of ``annotations/instances_X.json`` lie in ``X`` beside
    ``annotations``, as COCO has it, and those of any other file beside it.

    Raises:
        ConfigError: nothing is known by that name.
    """
    root = data_root(config)
    registered = _registered(config)
    if name in registered or name in PUBLISHED:
        images, annotations = registered.get(name) or PUBLISHED[name]
        return DatasetSource(name, root / annotations, root / images)
    file, separator, folder = name.partition(".json:")
    if separator or name.endswith(".json"):
        path = Path(file + ".json" if separator else name).expanduser()
        return DatasetSource(name, path, Path(folder).expanduser() if separator else _folder_beside(path))
    raise ConfigError(
        f"DATASETS: unknown data set {name!r}: expected one of {', '.join([*PUBLISHED, *registered])}, or the path of "
        "an annotation file in COCO's format: FILE.json or FILE.json:FOLDER_OF_IMAGES"
    )


def advice(source: DatasetSource) -> str:
    """Return what to do about missing files of a published data set, to end a message with."""
    steps = BY_HAND_CROWDHUMAN if source.name in CROWDHUMAN else how_to_get("coco2017")
    return (
        f"to get it: {steps}; if you have the files, set DATASETS.ROOT or the environment variable {ROOT_VARIABLE} to "
        "the folder that holds them"
    )


def data_root(config: CfgNode) -> Path:
    """Return the folder of the named data sets."""
    return Path(config.DATASETS.ROOT or os.environ.get(ROOT_VARIABLE) or "datasets").expanduser()


def _registered(config: CfgNode) -> dict[str, tuple[str, str]]:
    """Return name -> folder of images and annotation file of the user's own data sets."""
    found: dict[str, tuple[str, str]] = {}
    for entry in config.DATASETS.REGISTERED:
        if not isinstance(entry, list | tuple) or len(entry) != 3 or not all(isinstance(part, str) for part in entry):
            raise ConfigError(
                "DATASETS.REGISTERED: expected lists of a name, a folder of images and an annotation file, got "
                f"{entry!r}"
            )
        name, images, annotations = entry
        if name in PUBLISHED or name in found:
            raise ConfigError(f"DATASETS.REGISTERED: the name {name!r} is taken; choose another one")
        found[name] = (images, annotations)
    return found


def _folder_beside(annotations: Path) -> Path:
    split = re.fullmatch(r"instances_(.+)", annotations.stem)
    if split and annotations.absolute().parent.name == "annotations":
        return annotations.absolute().parent.parent / split[1]
    return annotations.parent
