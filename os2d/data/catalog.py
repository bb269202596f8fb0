"""The named data sets: where their files lie, how large their images are, and which rows belong to them.

Light on purpose (no torch, no pandas): planners call it for every trial.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache
from pathlib import Path

from yacs.config import CfgNode

from os2d.data.shelf.parameters import ShelfParameters, shelf_folder
from os2d.download.how_to_get import how_to_get
from os2d.errors import DataError

CUSTOM = "custom:"


class ConvertedFrom(Enum):
    """Published files of another layout, from which a table is made when it is absent."""

    INSTRE = auto()
    REPMET_EPISODE = auto()
    ILSVRC_TRAIN = auto()
    ILSVRC_VAL = auto()


@dataclass(frozen=True)
class Conversion:
    """How a table is made when it is absent; see :mod:`os2d.data.preparation`.

    Args:
        origin: the layout of the published files.
        folder: where they lie.
        decided_by: files that decide what is in the table; the data set is known by them before and after.
        episode: number of the episode, where there are several.
    """

    origin: ConvertedFrom
    folder: Path
    decided_by: tuple[Path, ...]
    episode: int = 0


@dataclass(frozen=True)
class ClassPart:
    """Classes whose file name contains a text and that come at a certain place among those, in percent.

    Args:
        name_contains: part of the name of the class image.
        start_percent: share of these classes, in the order of the table, that is passed over.
        stop_percent: share at which the part ends.
    """

    name_contains: str
    start_percent: int
    stop_percent: int


@dataclass(frozen=True)
class DatasetSource:
    """Files of one data set and the rule that picks its rows.

    Args:
        name: the name used in logs and metric names.
        annotation: the CSV file.
        class_images: folder of the class images; None for a data set that has none.
        images: folder of the images.
        nominal_size: images whose longer side differs are resized to this size on load, in pixels.
        splits: rows with one of these values in column ``split``; empty for all rows.
        image_splits: splits whose images are listed, where that is more than the images of the rows.
        first_images: keep only so many images.
        none_difficult: count every box as not difficult.
        class_part: keep only these classes and the images that show them.
        spread_boxes: keep so many boxes, evenly spread over the table.
        own: made by the user, who can correct a box outside its image; a published table is taken as it is.
        shelf: parameters of the generator that draws the files when they are absent.
        conversion: how the table is made when it is absent.
    """

    name: str
    annotation: Path
    class_images: Path | None
    images: Path
    nominal_size: int
    splits: tuple[str, ...] = ()
    image_splits: tuple[str, ...] = ()
    first_images: int | None = None
    none_difficult: bool = False
    class_part: ClassPart | None = None
    spread_boxes: int | None = None
    own: bool = True
    shelf: ShelfParameters | None = None
    conversion: Conversion | None = None


@dataclass(frozen=True)
class _Entry:
    """One line of the tables below; ``csv`` and ``images`` are relative to ``<data root>/<folder>``."""

    folder: str
    csv: str
    images: str
    size: int
    splits: tuple[str, ...] = ()
    image_splits: tuple[str, ...] = ()
    first_images: int | None = None
    none_difficult: bool = False
    class_part: ClassPart | None = None


_VAL = ("val-new-cl", "val-old-cl")

_TABLES = {
    "grozi-train": _Entry("grozi", "classes/grozi.csv", "src/3264", 3264, ("train",)),
    "grozi-train-mini": _Entry("grozi", "classes/grozi.csv", "src/3264", 3264, ("train",), first_images=2),
    "grozi-val-new-cl": _Entry("grozi", "classes/grozi.csv", "src/3264", 3264, ("val-new-cl",), _VAL),
    "grozi-val-old-cl": _Entry("grozi", "classes/grozi.csv", "src/3264", 3264, ("val-old-cl",), _VAL),
    "grozi-val-all": _Entry("grozi", "classes/grozi.csv", "src/3264", 3264, _VAL),
    "dairy": _Entry("dairy", "classes/dairy.csv", "src/original", 3000),
    "paste-v": _Entry("paste", "classes/paste.csv", "src/original", 1280),
    "paste-f": _Entry("paste", "classes/paste.csv", "src/original", 1280, none_difficult=True),
}

_S1, _S2 = "INSTRE-S1", "INSTRE-S2"

_INSTRE = {
    "instre-all": _Entry("instre", "classes/instre.csv", "", 1000),
    "instre-s1-train": _Entry("instre", "classes/instre.csv", "", 1000, class_part=ClassPart(_S1, 0, 75)),
    "instre-s1-val": _Entry("instre", "classes/instre.csv", "", 1000, class_part=ClassPart(_S1, 75, 80)),
    "instre-s1-test": _Entry("instre", "classes/instre.csv", "", 1000, class_part=ClassPart(_S1, 80, 100)),
    "instre-s2-train": _Entry("instre", "classes/instre.csv", "", 1000, class_part=ClassPart(_S2, 0, 75)),
    "instre-s2-val": _Entry("instre", "classes/instre.csv", "", 1000, class_part=ClassPart(_S2, 75, 80)),
    "instre-s2-test": _Entry("instre", "classes/instre.csv", "", 1000, class_part=ClassPart(_S2, 80, 100)),
}

REPMET_FOLDER = "ImageNet-RepMet"
EPISODES = "epi_inloc_in_domain_1_5_10_500"
"""Name of RepMet's episodes: the file, and the folder of the tables made from it."""
_REPMET_DATA = Path("RepMet_CVPR2019_data", "data", "Imagenet_LOC")
ROIDB_FILE = _REPMET_DATA / "voc_inloc_roidb.pkl"
EPISODES_FILE = _REPMET_DATA / "episodes" / f"{EPISODES}.pkl"
TEST_CLASSES_FILE = "repmet_test_classes.txt"
_IMAGENET_SIZE = 1000

_SHELF = {"shelf-train": "train", "shelf-val-old-cl": "val-old-cl", "shelf-val-new-cl": "val-new-cl"}


def data_root(config: CfgNode) -> Path:
    """Return the folder of the named data sets: ``runtime.data_root``, else ``$ONESHOT_DATA``, else ``./data``."""
    return resolved_root(config.runtime.data_root)


def resolved_root(given: str | None) -> Path:
    """Return the folder that was given, else ``$ONESHOT_DATA``, else ``./data``."""
    return Path(given or os.environ.get("ONESHOT_DATA") or "data").expanduser().absolute()


def find_dataset(name: str, root: Path) -> DatasetSource:
    """Return the source behind a data set name; nothing is opened but the folder of a custom set.

    Names are those of the tables above, in any case, and ``custom:PATH`` or ``custom:PATH#SPLIT`` for a folder of the
    user's own.
    """
    if name.lower().startswith(CUSTOM):
        return _custom(name[len(CUSTOM) :])
    key = name.lower()
    if key in _SHELF:
        return _shelf(key, root, ShelfParameters())
    if key in _TABLES:
        return _table(key, _TABLES[key], _existing(key, root / _TABLES[key].folder))
    if key in _INSTRE:
        return _instre(key, _existing(key, root / _INSTRE[key].folder))
    for pattern, make in _IMAGENET.items():
        if match := re.fullmatch(pattern, key, re.ASCII):
            return make(key, _existing(key, root / REPMET_FOLDER), *map(int, match.groups()))
    raise DataError(
        f"unknown data set {name!r}: expected one of {', '.join(dataset_names())}, or custom:FOLDER or "
        "custom:FOLDER#SPLIT for your own images"
    )


def dataset_names() -> list[str]:
    """Return the names that :func:`find_dataset` knows besides ``custom:``; ``<k>`` and ``<n>`` stand for numbers."""
    episodes, detector = "imagenet-repmet-test-episode-<k>", ["imagenet-repmet-train", "imagenet-repmet-val-<n>"]
    return [*_SHELF, *_TABLES, *_INSTRE, episodes, *detector]


@lru_cache
def is_known(name: str) -> bool:
    """Return whether a name is that of a data set, wherever its files may lie; ``custom:`` names are not judged."""
    key = name.lower()
    return key in {**_SHELF, **_TABLES, **_INSTRE} or any(re.fullmatch(p, key, re.ASCII) for p in _IMAGENET)


@lru_cache
def lacks_class_images(name: str) -> bool:
    """Return whether a known data set has boxes only, for a detector of all classes."""
    return any(re.fullmatch(pattern, name.lower(), re.ASCII) for pattern in (_IMAGENET_TRAIN, _IMAGENET_VAL))


def advice(name: str) -> str:
    """Return what to do about missing files of a data set, to end a message with."""
    steps = how_to_get(name)
    return (f"to get it: {steps}; " if steps else "") + (
        "if you have the files, set runtime.data_root or the environment variable ONESHOT_DATA to the folder that "
        "holds them"
    )


def _existing(name: str, folder: Path) -> Path:
    if not folder.is_dir():
        raise DataError(f"data set {name!r}: no such folder: {folder}; {advice(name)}")
    return folder


def _table(name: str, entry: _Entry, folder: Path) -> DatasetSource:
    annotation = folder / entry.csv
    return DatasetSource(
        name=name,
        annotation=annotation,
        class_images=annotation.parent / "images",
        images=folder / entry.images,
        nominal_size=entry.size,
        splits=entry.splits,
        image_splits=entry.image_splits,
        first_images=entry.first_images,
        none_difficult=entry.none_difficult,
        class_part=entry.class_part,
        own=False,
    )


def _instre(name: str, folder: Path) -> DatasetSource:
    conversion = Conversion(ConvertedFrom.INSTRE, folder, (folder / "gnd_instre.mat",))
    return replace(_table(name, _INSTRE[name], folder), conversion=conversion)


def _episode(name: str, folder: Path, number: int) -> DatasetSource:
    made = folder / EPISODES / f"classes_episode_{number}"
    decided_by = (folder / ROIDB_FILE, folder / EPISODES_FILE)
    return DatasetSource(
        name=name,
        annotation=made / f"classes_{EPISODES}_episode_{number}.csv",
        class_images=made / "images",
        images=folder / "ILSVRC",
        nominal_size=_IMAGENET_SIZE,
        own=False,
        conversion=Conversion(ConvertedFrom.REPMET_EPISODE, folder, decided_by, number),
    )


def _ilsvrc_train(name: str, folder: Path) -> DatasetSource:
    return _ilsvrc(name, folder, ConvertedFrom.ILSVRC_TRAIN)


def _ilsvrc_val(name: str, folder: Path, boxes: int) -> DatasetSource:
    return replace(_ilsvrc(name, folder, ConvertedFrom.ILSVRC_VAL), spread_boxes=boxes)


def _ilsvrc(name: str, folder: Path, origin: ConvertedFrom) -> DatasetSource:
    part = "train" if origin is ConvertedFrom.ILSVRC_TRAIN else "val"
    decided_by = (folder / TEST_CLASSES_FILE, folder / EPISODES_FILE)
    return DatasetSource(
        name=name,
        annotation=folder / f"ilsvrc_{part}_boxes.csv",
        class_images=None,
        images=folder / "ILSVRC" / "Data" / "CLS-LOC",
        nominal_size=_IMAGENET_SIZE,
        own=False,
        conversion=Conversion(origin, folder, decided_by),
    )


_IMAGENET_TRAIN, _IMAGENET_VAL = "imagenet-repmet-train", "imagenet-repmet-val-([1-9][0-9]*)"

_IMAGENET: dict[str, Callable[..., DatasetSource]] = {
    "imagenet-repmet-test-episode-([0-9]+)": _episode,
    _IMAGENET_TRAIN: _ilsvrc_train,
    _IMAGENET_VAL: _ilsvrc_val,
}
"""Pattern of a name -> who knows the files behind it; the number in the name is an argument."""


@lru_cache
def _shelf(name: str, root: Path, parameters: ShelfParameters) -> DatasetSource:
    folder = shelf_folder(root, parameters)
    return DatasetSource(
        name=name,
        annotation=folder / "classes" / "shelf.csv",
        class_images=folder / "classes" / "images",
        images=folder / "src" / str(parameters.image_size),
        nominal_size=parameters.image_size,
        splits=(_SHELF[name],),
        shelf=parameters,
    )


def _custom(text: str) -> DatasetSource:
    whole = "#" not in text or Path(text).expanduser().is_dir()
    path, _, split = (text, "", "") if whole else text.rpartition("#")
    if not whole and not split:
        raise DataError(f"data set 'custom:{text}': no split after '#'; name one, or leave '#' out for all rows")
    folder = Path(path).expanduser().absolute()
    if not path or not folder.is_dir():
        raise DataError(f"data set 'custom:{text}': no such folder: {folder}; the layout is {_LAYOUT}")
    tables = sorted((folder / "classes").glob("*.csv"))
    if len(tables) != 1:
        found = ", ".join(t.name for t in tables) or "none"
        raise DataError(f"{folder / 'classes'}: expected exactly one .csv file, found {found}; the layout is {_LAYOUT}")
    sizes = sorted(f for f in (folder / "src").glob("*") if f.is_dir() and f.name.isascii() and f.name.isdigit())
    if len(sizes) != 1 or int(sizes[0].name) < 1:
        found = ", ".join(f.name for f in sizes) or "none"
        raise DataError(
            f"{folder / 'src'}: expected one folder whose name is the nominal image size, such as 'src/1280', "
            f"found {found}; the layout is {_LAYOUT}"
        )
    return DatasetSource(
        name=f"{folder.name}-{split}" if split else folder.name,
        annotation=tables[0],
        class_images=folder / "classes" / "images",
        images=sizes[0],
        nominal_size=int(sizes[0].name),
        splits=(split,) if split else (),
    )


_LAYOUT = (
    "custom:FOLDER or custom:FOLDER#SPLIT, with FOLDER/classes/NAME.csv, FOLDER/classes/images/ and "
    "FOLDER/src/<image size>/"
)
