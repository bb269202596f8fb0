"""The named data sets: where their files lie, how large their images are, and which rows belong to them.

Light on purpose (no torch, no pandas): planners call it for every trial.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from yacs.config import CfgNode

from os2d.data.shelf.parameters import ShelfParameters, shelf_folder
from os2d.errors import DataError

CUSTOM = "custom:"


@dataclass(frozen=True)
class DatasetSource:
    """Files of one data set and the rule that picks its rows.

    Args:
        name: the name used in logs and metric names.
        annotation: the CSV file.
        class_images: folder of the class images.
        images: folder of the images.
        nominal_size: images whose longer side differs are resized to this size on load, in pixels.
        splits: rows with one of these values in column ``split``; empty for all rows.
        image_splits: splits whose images are listed, where that is more than the images of the rows.
        first_images: keep only so many images.
        none_difficult: count every box as not difficult.
        shelf: parameters of the generator that draws the files when they are absent.
    """

    name: str
    annotation: Path
    class_images: Path
    images: Path
    nominal_size: int
    splits: tuple[str, ...] = ()
    image_splits: tuple[str, ...] = ()
    first_images: int | None = None
    none_difficult: bool = False
    shelf: ShelfParameters | None = None

    @property
    def folder(self) -> Path:
        """The folder that holds ``classes/`` and ``src/``."""
        return self.annotation.parent.parent


@dataclass(frozen=True)
class _Entry:
    """One line of the table below; ``csv`` and ``images`` are relative to ``<data root>/<folder>``."""

    folder: str
    csv: str
    images: str
    size: int
    splits: tuple[str, ...] = ()
    image_splits: tuple[str, ...] = ()
    first_images: int | None = None
    none_difficult: bool = False


_VAL = ("val-new-cl", "val-old-cl")

_PUBLISHED = {
    "grozi-train": _Entry("grozi", "classes/grozi.csv", "src/3264", 3264, ("train",)),
    "grozi-train-mini": _Entry("grozi", "classes/grozi.csv", "src/3264", 3264, ("train",), first_images=2),
    "grozi-val-new-cl": _Entry("grozi", "classes/grozi.csv", "src/3264", 3264, ("val-new-cl",), _VAL),
    "grozi-val-old-cl": _Entry("grozi", "classes/grozi.csv", "src/3264", 3264, ("val-old-cl",), _VAL),
    "grozi-val-all": _Entry("grozi", "classes/grozi.csv", "src/3264", 3264, _VAL),
    "dairy": _Entry("dairy", "classes/dairy.csv", "src/original", 3000),
    "paste-v": _Entry("paste", "classes/paste.csv", "src/original", 1280),
    "paste-f": _Entry("paste", "classes/paste.csv", "src/original", 1280, none_difficult=True),
}

_SHELF = {"shelf-train": "train", "shelf-val-old-cl": "val-old-cl", "shelf-val-new-cl": "val-new-cl"}

_NOT_AVAILABLE = ("instre-", "imagenet-repmet-")


def data_root(config: CfgNode) -> Path:
    """Return the folder of the named data sets: ``runtime.data_root``, else ``$ONESHOT_DATA``, else ``./data``."""
    return Path(config.runtime.data_root or os.environ.get("ONESHOT_DATA") or "data").expanduser().absolute()


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
    if key in _PUBLISHED:
        return _published(key, root)
    if key.startswith(_NOT_AVAILABLE):
        raise DataError(f"data set {name!r} is not available in this version; use one of {', '.join(dataset_names())}")
    raise DataError(
        f"unknown data set {name!r}: expected one of {', '.join(dataset_names())}, or custom:FOLDER or "
        "custom:FOLDER#SPLIT for your own images"
    )


def dataset_names() -> list[str]:
    """Return the names that :func:`find_dataset` knows besides ``custom:``."""
    return [*_SHELF, *_PUBLISHED]


def _published(name: str, root: Path) -> DatasetSource:
    entry = _PUBLISHED[name]
    folder = root / entry.folder
    if not folder.is_dir():
        raise DataError(
            f"data set {name!r}: no such folder: {folder}; put the data there, or set runtime.data_root or the "
            "environment variable ONESHOT_DATA to the folder that holds it"
        )
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
    )


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
