"""A one-shot detection data set: images with boxes of many classes, and one picture of every class."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import torch
from PIL import Image

from os2d.data.annotation import REQUIRED_COLUMNS, BoxRow, read_annotation
from os2d.data.catalog import find_dataset
from os2d.data.images import loaded_size, read_image, read_image_size, resize
from os2d.data.shelf.store import ensure_shelf
from os2d.errors import DataError
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

logger = logging.getLogger(__name__)

CACHE_SHARE = 0.5
"""Part of the free memory that decoded images may take."""


class DatasetOneShotDetection:
    """Images, their boxes and the class images; files are opened when they are needed.

    Build one from your own table to use data that has no name here.

    Args:
        name: for logs and metric names.
        frame: one row per box with the columns of the annotation table; coordinates are relative to the image.
        images_folder: where ``imagefilename`` is looked up.
        class_images_folder: where ``classfilename`` is looked up.
        nominal_size: images whose longer side differs are resized on load so that ``w * h`` is its square.
        image_files: image id -> file name of every image, in order, where that is more than those of the frame.
        cache_images: let :meth:`preload` keep decoded images.
        annotation: the file the frame was read from, for messages.

    Raises:
        DataError: a column or a file is missing.
    """

    def __init__(
        self,
        name: str,
        frame: pd.DataFrame,
        images_folder: Path,
        class_images_folder: Path,
        nominal_size: int,
        *,
        image_files: dict[int, str] | None = None,
        cache_images: bool = False,
        annotation: Path | None = None,
    ) -> None:
        self.name = name
        self.frame = _with_file_names(frame, annotation)
        self.images_folder = Path(images_folder)
        self.class_images_folder = Path(class_images_folder)
        self.nominal_size = nominal_size
        self.cache_images = cache_images
        self.annotation = annotation
        self._image_files = image_files or _first_values(self.frame, "imageid", "imagefilename")
        self._class_files = _first_values(self.frame, "classid", "classfilename")
        self._rows_of_image = dict(iter(self.frame.groupby("imageid", sort=False)))
        self._sizes: dict[int, Size] = {}
        self._boxes: dict[int, BoxList] = {}
        self._decoded: dict[int, Image.Image] = {}
        self._decoded_classes: dict[int, Image.Image] = {}
        self._check_files()

    def __len__(self) -> int:
        return len(self._image_files)

    def __getstate__(self) -> dict[str, Any]:
        """Leave decoded images behind where a process starts without sharing memory."""
        return {**self.__dict__, "_decoded": {}, "_decoded_classes": {}}

    @property
    def image_ids(self) -> list[int]:
        """Ids of the images, in the order of their first appearance."""
        return list(self._image_files)

    @property
    def class_ids(self) -> list[int]:
        """Ids of the annotated classes, ascending."""
        return sorted(self._class_files)

    def class_ids_of(self, image_ids: Iterable[int]) -> list[int]:
        """Return the ids of the classes annotated in some of the images, ascending."""
        frames = [self._rows_of_image[i] for i in image_ids if i in self._rows_of_image]
        return sorted({int(c) for rows in frames for c in rows["classid"]})

    def scale_of(self, dataset_scale: float) -> float:
        """Return the factor from loaded images to images of the size ``dataset_scale``."""
        return dataset_scale / self.nominal_size

    def image_path(self, image_id: int) -> Path:
        """Return the file of an image."""
        return self.images_folder / self._image_files[image_id]

    def class_image_path(self, class_id: int) -> Path:
        """Return the file of a class image."""
        return self.class_images_folder / self._class_files[class_id]

    def image_size(self, image_id: int) -> Size:
        """Return the size an image has after loading, without decoding it."""
        if image_id not in self._sizes:
            stored = read_image_size(self.image_path(image_id), partial(self._origin, "imageid", image_id))
            self._sizes[image_id] = loaded_size(stored, self.nominal_size)
        return self._sizes[image_id]

    def load_image(self, image_id: int) -> Image.Image:
        """Return an image, RGB, resized if its longer side is not the nominal size."""
        if image_id in self._decoded:
            return self._decoded[image_id]
        image = read_image(self.image_path(image_id), partial(self._origin, "imageid", image_id))
        return resize(image, loaded_size(Size.of_image(image), self.nominal_size), Image.Resampling.LANCZOS)

    def class_image(self, class_id: int) -> Image.Image:
        """Return the picture of a class, RGB, at its stored size."""
        if class_id in self._decoded_classes:
            return self._decoded_classes[class_id]
        return read_image(self.class_image_path(class_id), partial(self._origin, "classid", class_id))

    def boxes(self, image_id: int) -> BoxList:
        """Return the boxes of an image in pixels of the loaded image; fields ``labels`` (class ids), ``difficult``."""
        if image_id not in self._boxes:
            self._boxes[image_id] = self._read_boxes(image_id)
        return self._boxes[image_id]

    def _read_boxes(self, image_id: int) -> BoxList:
        size = self.image_size(image_id)
        rows = self._rows_of_image.get(image_id, self.frame[:0])
        relative = torch.tensor(rows[["lx", "ty", "rx", "by"]].to_numpy(dtype="float64"))
        pixels = (relative * torch.tensor([size.w, size.h, size.w, size.h])).float()
        labels = torch.tensor(rows["classid"].to_numpy(dtype="int64"))
        difficult = torch.tensor(rows["difficult"].to_numpy(dtype="bool"))
        return BoxList(pixels.reshape(-1, 4), size, {"labels": labels, "difficult": difficult})

    def subset(self, count: int) -> DatasetOneShotDetection:
        """Return the data set of the first ``count`` images, named ``<name>-subset<count>``."""
        files = {i: self._image_files[i] for i in self.image_ids[:count]}
        part = DatasetOneShotDetection(
            f"{self.name}-subset{count}",
            self.frame[self.frame["imageid"].isin(list(files))],
            self.images_folder,
            self.class_images_folder,
            self.nominal_size,
            image_files=files,
            cache_images=self.cache_images,
            annotation=self.annotation,
        )
        part._decoded = {i: image for i, image in self._decoded.items() if i in files}
        part._decoded_classes = {c: i for c, i in self._decoded_classes.items() if c in part._class_files}
        return part

    def preload(self) -> None:
        """Decode every image and class image once, so that loader processes started later share the memory.

        Does nothing unless the data set was made with ``cache_images``, and says so if the memory does not suffice.
        """
        if not self.cache_images or len(self._decoded) == len(self):
            return
        sizes = [self.image_size(i) for i in self.image_ids]
        sizes += [
            read_image_size(self.class_image_path(c), partial(self._origin, "classid", c)) for c in self.class_ids
        ]
        needed = sum(3 * size.w * size.h for size in sizes)
        allowed = int(CACHE_SHARE * psutil.virtual_memory().available)
        if needed > allowed:
            logger.warning(
                "%s: %d decoded images need %.1f GB, more than half of the free memory (%.1f GB allowed); they are "
                "read from disk each time instead",
                *(self.name, len(self), needed / 1e9, allowed / 1e9),
            )
            return
        logger.info("%s: keeping %d decoded images in memory (%.2f GB)", self.name, len(self), needed / 1e9)
        with ThreadPoolExecutor(max_workers=4) as pool:
            self._decoded = dict(zip(self.image_ids, pool.map(self.load_image, self.image_ids), strict=True))
            self._decoded_classes = dict(zip(self.class_ids, pool.map(self.class_image, self.class_ids), strict=True))

    def _check_files(self) -> None:
        for folder in (self.images_folder, self.class_images_folder):
            if not folder.is_dir():
                raise DataError(f"data set {self.name!r}: no such folder: {folder}")
        for image_id in self._image_files:
            self._check_file(self.image_path(image_id), "imageid", image_id)
        for class_id in self._class_files:
            self._check_file(self.class_image_path(class_id), "classid", class_id)

    def _check_file(self, path: Path, column: str, value: int) -> None:
        if not path.is_file():
            kind = "image" if column == "imageid" else "class image"
            raise DataError(
                f"{path}: no such {kind} file (named by {self._origin(column, value)}); add the file or remove its rows"
            )

    def _origin(self, column: str, value: int) -> str:
        """Return where an id was first named, for messages."""
        rows = self.frame.index[self.frame[column] == value]
        table = self.annotation or "the table"
        if len(rows) == 0:
            return f"{table}, {column} {value}"
        return f"{table}, {self.frame.index.name or 'row'} {rows[0]}, {column} {value}"


def build_dataset(name: str, data_root: Path, *, cache_images: bool = False) -> DatasetOneShotDetection:
    """Return a data set by its name (see :mod:`os2d.data.catalog`); the generated one is drawn if it is absent.

    Raises:
        DataError: unknown name, or anything wrong with the files.
    """
    source = find_dataset(name, data_root)
    if source.shelf is not None:
        ensure_shelf(data_root, source.shelf)
    annotation = read_annotation(source)
    return DatasetOneShotDetection(
        source.name,
        frame_of(annotation.rows),
        source.images,
        source.class_images,
        source.nominal_size,
        image_files=annotation.file_of_image,
        cache_images=cache_images,
        annotation=source.annotation,
    )


def frame_of(rows: Sequence[BoxRow]) -> pd.DataFrame:
    """Return annotation rows as a table whose index is the line number in the file."""
    return pd.DataFrame(rows, columns=list(BoxRow._fields)).set_index("line")


def _with_file_names(frame: pd.DataFrame, annotation: Path | None) -> pd.DataFrame:
    missing = [c for c in REQUIRED_COLUMNS if c not in frame.columns]
    if missing:
        found = ", ".join(map(str, frame.columns))
        raise DataError(f"{annotation or 'annotation table'}: column {missing[0]!r} is missing; found {found}")
    added = {
        file: frame[id_].astype(str) + ".jpg"
        for id_, file in (("imageid", "imagefilename"), ("classid", "classfilename"))
        if file not in frame.columns
    }
    return frame.assign(**added)


def _first_values(frame: pd.DataFrame, key: Hashable, value: Hashable) -> dict[int, str]:
    first = frame.drop_duplicates(key)
    return {int(k): str(v) for k, v in zip(first[key], first[value], strict=True)}
