"""A one-shot detection data set: images with boxes of many classes, and one picture of every class."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import psutil
import torch
from PIL import Image

from os2d.data.annotation import read_annotation
from os2d.data.catalog import find_dataset
from os2d.data.images import loaded_size, read_image, read_image_size, resize
from os2d.data.preparation import prepare
from os2d.data.published_sizes import SetSize, size_problem
from os2d.data.table import BoxColumns, first_values, frame_of, with_file_names
from os2d.errors import DataError
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

logger = logging.getLogger(__name__)

CACHE_SHARE = 0.5
"""Part of the free memory that decoded images may take."""


class DatasetOneShotDetection:
    """Images, their boxes and the class images; files are opened when they are needed.

    Build one from your own table to use data that has no name here. The names of the arguments, and of the attributes
    and methods from :meth:`get_class_ids` on, are those of the published program; all else is ours. What is ``gt_path``
    and ``image_path`` there once the data set is made, is ``class_images_folder`` and ``images_folder`` here.

    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (400, 300)).save(folder / "shelf.png")
    >>> Image.new("RGB", (60, 80)).save(folder / "tea.png")
    >>> boxes = pd.DataFrame(
    ...     {
    ...         "imageid": [7],
    ...         "imagefilename": ["shelf.png"],  # without this column: <imageid>.jpg
    ...         "classid": [3],
    ...         "classfilename": ["tea.png"],  # without this column: <classid>.jpg
    ...         "gtbboxid": [0],
    ...         "difficult": [0],
    ...         "lx": [0.25],  # left, top, right, bottom: shares of the width and the height of the image
    ...         "ty": [0.5],
    ...         "rx": [0.5],
    ...         "by": [1.0],
    ...     }
    ... )
    >>> dataset = DatasetOneShotDetection(boxes, folder, folder, "shelf", image_size=400, eval_scale=320)
    >>> dataset.image_ids, dataset.class_ids
    ([7], [3])
    >>> dataset.boxes(7).boxes_xyxy.tolist()
    [[100.0, 150.0, 200.0, 300.0]]
    >>> dataset.class_image(3).size
    (60, 80)
    >>> dataset.scale_of(dataset.eval_scale)
    0.8

    Args:
        gtboxframe: one row per box with the columns of the annotation table; coordinates are relative to the image.
        gt_path: folder in which ``classfilename`` is looked up; None: there are no class images.
        image_path: folder in which ``imagefilename`` is looked up.
        name: for logs and metric names.
        image_size: images whose longer side differs are resized on load so that ``w * h`` is its square.
        eval_scale: the image size at which evaluation sees objects at the right size.
        cache_images: let :meth:`preload` keep decoded images.
        no_image_reading: do not look whether the files exist; they may lie on another machine.
        image_ids: every image, in order, where that is more than the images of the frame.
        image_file_names: the files of ``image_ids``.
        logger_prefix: messages go to the logger ``<logger_prefix>.dataset``; None: to that of this module.
        annotation: the file the frame was read from, for messages.

    Raises:
        DataError: a column or a file is missing.
    """

    def __init__(
        self,
        gtboxframe: pd.DataFrame,
        gt_path: str | Path | None,
        image_path: str | Path,
        name: str,
        image_size: int,
        eval_scale: float | None = None,
        cache_images: bool = False,
        no_image_reading: bool = False,
        image_ids: Sequence[int] | None = None,
        image_file_names: Sequence[str] | None = None,
        logger_prefix: str | None = None,
        *,
        annotation: Path | None = None,
    ) -> None:
        self.name = name
        self.gtboxframe = with_file_names(gtboxframe, annotation)
        self.images_folder = Path(image_path)
        self.class_images_folder = Path(gt_path) if gt_path is not None else None
        self.image_size = image_size
        self.eval_scale = eval_scale
        self.cache_images = cache_images
        self.no_image_reading = no_image_reading
        self.annotation = annotation
        self.logger = logging.getLogger(f"{logger_prefix}.dataset") if logger_prefix else logger
        ids_and_files = [None if given is None else len(given) for given in (image_ids, image_file_names)]
        if ids_and_files[0] != ids_and_files[1]:
            raise DataError(f"data set {name!r}: image_ids and image_file_names belong together; give one file per id")
        if image_ids is not None and image_file_names is not None:
            self._image_files = dict(zip(image_ids, image_file_names, strict=True))
        else:
            self._image_files = first_values(self.gtboxframe, "imageid", "imagefilename")
        self._class_files = first_values(self.gtboxframe, "classid", "classfilename")
        self._rows = BoxColumns.of(self.gtboxframe)
        self._sizes: dict[int, Size] = {}
        self._boxes: dict[int, BoxList] = {}
        self._decoded: dict[int, Image.Image] = {}
        self._decoded_classes: dict[int, Image.Image] = {}
        if not no_image_reading:
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
    def image_file_names(self) -> list[str]:
        """Files of the images, in the same order."""
        return list(self._image_files.values())

    @property
    def class_ids(self) -> list[int]:
        """Ids of the annotated classes, ascending."""
        return sorted(self._class_files)

    @property
    def has_class_images(self) -> bool:
        """Whether there is a picture of every class; a data set for a detector of all classes has none."""
        return self.class_images_folder is not None

    def class_ids_of(self, image_ids: Iterable[int]) -> list[int]:
        """Return the ids of the classes annotated in some of the images, ascending."""
        return sorted({c for i in image_ids for c in self._rows.class_ids[self._rows.of_image(i)].tolist()})

    def scale_of(self, dataset_scale: float) -> float:
        """Return the factor from loaded images to images of the size ``dataset_scale``."""
        return dataset_scale / self.image_size

    def image_path(self, image_id: int) -> Path:
        """Return the file of an image."""
        return self.images_folder / self._image_files[image_id]

    def class_image_path(self, class_id: int) -> Path:
        """Return the file of a class image.

        Raises:
            DataError: the data set has no class images.
        """
        if self.class_images_folder is None:
            raise DataError(
                f"data set {self.name!r} has no class images, which one-shot detection needs; it serves a detector of "
                "all classes"
            )
        return self.class_images_folder / self._class_files[class_id]

    def size_of_image(self, image_id: int) -> Size:
        """Return the size an image has after loading, without decoding it."""
        if image_id not in self._sizes:
            stored = read_image_size(self.image_path(image_id), partial(self._origin, "imageid", image_id))
            self._sizes[image_id] = loaded_size(stored, self.image_size)
        return self._sizes[image_id]

    def load_image(self, image_id: int) -> Image.Image:
        """Return an image, RGB, resized if its longer side is not the nominal size."""
        if image_id in self._decoded:
            return self._decoded[image_id]
        image = read_image(self.image_path(image_id), partial(self._origin, "imageid", image_id))
        return resize(image, loaded_size(Size.of_image(image), self.image_size), Image.Resampling.LANCZOS)

    def class_image(self, class_id: int) -> Image.Image:
        """Return the picture of a class, RGB, at its stored size."""
        if class_id in self._decoded_classes:
            return self._decoded_classes[class_id]
        return read_image(self.class_image_path(class_id), partial(self._origin, "classid", class_id))

    def boxes(self, image_id: int) -> BoxList:
        """Return the boxes of an image in pixels of the loaded image; fields ``labels`` (class ids), ``difficult``."""
        if image_id not in self._boxes:
            size, rows = self.size_of_image(image_id), self._rows.of_image(image_id)
            pixels = self._rows.relative_xyxy[rows] * np.array([size.w, size.h, size.w, size.h])
            labels = torch.from_numpy(self._rows.class_ids[rows])
            difficult = torch.from_numpy(self._rows.difficult[rows])
            fields = {"labels": labels, "difficult": difficult}
            self._boxes[image_id] = BoxList(torch.from_numpy(pixels).float(), size, fields)
        return self._boxes[image_id]

    def subset(self, count: int) -> DatasetOneShotDetection:
        """Return the data set of the first ``count`` images, named ``<name>-subset<count>``."""
        files = {i: self._image_files[i] for i in self.image_ids[:count]}
        part = DatasetOneShotDetection(
            gtboxframe=self.gtboxframe[self.gtboxframe["imageid"].isin(list(files))],
            gt_path=self.class_images_folder,
            image_path=self.images_folder,
            name=f"{self.name}-subset{count}",
            image_size=self.image_size,
            eval_scale=self.eval_scale,
            cache_images=self.cache_images,
            no_image_reading=self.no_image_reading,
            image_ids=list(files),
            image_file_names=list(files.values()),
            annotation=self.annotation,
        )
        part.logger = self.logger
        part._decoded = {i: image for i, image in self._decoded.items() if i in files}
        part._decoded_classes = {c: i for c, i in self._decoded_classes.items() if c in part._class_files}
        return part

    def preload(self) -> None:
        """Decode every image and class image once, so that loader processes started later share the memory.

        Does nothing unless the data set was made with ``cache_images``, and says so if the memory does not suffice.
        """
        if not self.cache_images or len(self._decoded) == len(self):
            return
        class_ids = self.class_ids if self.has_class_images else []
        sizes = [self.size_of_image(i) for i in self.image_ids]
        sizes += [read_image_size(self.class_image_path(c), partial(self._origin, "classid", c)) for c in class_ids]
        needed = sum(3 * size.w * size.h for size in sizes)
        allowed = int(CACHE_SHARE * psutil.virtual_memory().available)
        if needed > allowed:
            self.logger.warning(
                "%s: %d decoded images need %.1f GB, more than half of the free memory (%.1f GB allowed); they are "
                "read from disk each time instead",
                *(self.name, len(self), needed / 1e9, allowed / 1e9),
            )
            return
        self.logger.info("%s: keeping %d decoded images in memory (%.2f GB)", self.name, len(self), needed / 1e9)
        with ThreadPoolExecutor(max_workers=4) as pool:
            self._decoded = dict(zip(self.image_ids, pool.map(self.load_image, self.image_ids), strict=True))
            self._decoded_classes = dict(zip(class_ids, pool.map(self.class_image, class_ids), strict=True))

    def get_class_ids(self) -> npt.NDArray[np.int64]:
        """Return the ids of the annotated classes, in the order of their first appearance."""
        return np.array(list(self._class_files), dtype=np.int64)

    def get_class_ids_for_image_ids(self, image_ids: Iterable[int]) -> npt.NDArray[np.int64]:
        """Return the ids of the classes annotated in some of the images, in the order of the table."""
        return np.array(list(dict.fromkeys(self.get_dataframe_for_image_ids(image_ids)["classid"])), dtype=np.int64)

    def get_dataframe_for_image_ids(self, image_ids: Iterable[int]) -> pd.DataFrame:
        """Return the rows of some of the images."""
        return self.gtboxframe[self.gtboxframe["imageid"].isin(list(image_ids))]

    def get_image_annotation_for_imageid(self, image_id: int) -> BoxList:
        """Return a copy of :meth:`boxes` that also has ``labels_original`` and ``difficult_original``."""
        boxes = self.boxes(image_id)
        for name in ("labels", "difficult"):
            values = boxes.field(name)
            boxes = boxes.with_field(name, values.clone()).with_field(f"{name}_original", values.clone())
        return boxes

    def get_image_size_for_image_id(self, image_id: int) -> Size:
        """Return :meth:`size_of_image`."""
        return self.size_of_image(image_id)

    def split_images_into_buckets_by_size(self) -> list[list[int]]:
        """Return the image ids grouped by :meth:`size_of_image`, in the order of first appearance."""
        ids_of_size: dict[Size, list[int]] = defaultdict(list)
        for image_id in self._image_files:
            ids_of_size[self.size_of_image(image_id)].append(image_id)
        return list(ids_of_size.values())

    def copy_subset(self, subset_size: int | None = None, set_eval_mode: bool = True) -> DatasetOneShotDetection:
        """Return :meth:`subset`, or a copy with all images; augmentation is the loader's, so the mode changes nothing.

        The copy shares what is already decoded.
        """
        return copy(self) if subset_size is None else self.subset(subset_size)

    def get_name(self) -> str:
        """Return the name."""
        return self.name

    def get_eval_scale(self) -> float | None:
        """Return the image size at which evaluation sees objects at the right size."""
        return self.eval_scale

    @property
    def num_images(self) -> int:
        """How many images there are, with or without boxes."""
        return len(self)

    @property
    def num_boxes(self) -> int:
        """How many boxes there are, difficult ones included."""
        return len(self.gtboxframe)

    @property
    def num_classes(self) -> int:
        """How many classes are annotated."""
        return len(self._class_files)

    def _check_files(self) -> None:
        for folder in (self.images_folder, self.class_images_folder):
            if folder is not None and not folder.is_dir():
                raise DataError(f"data set {self.name!r}: no such folder: {folder}")
        for image_id in self._image_files:
            self._check_file(self.image_path(image_id), "imageid", image_id)
        for class_id in self._class_files if self.has_class_images else ():
            self._check_file(self.class_image_path(class_id), "classid", class_id)

    def _check_file(self, path: Path, column: str, value: int) -> None:
        if not path.is_file():
            kind = "image" if column == "imageid" else "class image"
            raise DataError(
                f"{path}: no such {kind} file (named by {self._origin(column, value)}); add the file or remove its rows"
            )

    def _origin(self, column: str, value: int) -> str:
        """Return where an id was first named, for messages."""
        rows = self.gtboxframe.index[self.gtboxframe[column] == value]
        table = self.annotation or "the table"
        if len(rows) == 0:
            return f"{table}, {column} {value}"
        return f"{table}, {self.gtboxframe.index.name or 'row'} {rows[0]}, {column} {value}"


def build_dataset(
    name: str,
    data_root: Path,
    *,
    eval_scale: float | None = None,
    cache_images: bool = False,
    no_image_reading: bool = False,
    logger_prefix: str | None = None,
) -> DatasetOneShotDetection:
    """Return a data set by its name (see :mod:`os2d.data.catalog`), drawn or converted first where that is needed.

    What differs from the published size is logged.

    Raises:
        DataError: unknown name, or anything wrong with the files.
    """
    source = find_dataset(name, data_root)
    prepare(source, data_root)
    annotation = read_annotation(source)
    problem = size_problem(source.name, SetSize.of(annotation))
    if problem:
        logger.warning("%s: files missing? `oneshot data check %s`", problem, source.name)
    return DatasetOneShotDetection(
        gtboxframe=frame_of(annotation.rows),
        gt_path=source.class_images,
        image_path=source.images,
        name=source.name,
        image_size=source.nominal_size,
        eval_scale=eval_scale,
        cache_images=cache_images,
        no_image_reading=no_image_reading,
        logger_prefix=logger_prefix,
        image_ids=annotation.image_ids,
        image_file_names=list(annotation.file_of_image.values()),
        annotation=source.annotation,
    )


def build_dataset_by_name(
    data_path: str | Path,
    name: str,
    eval_scale: float | None,
    cache_images: bool = False,
    no_image_reading: bool = False,
    logger_prefix: str | None = None,
) -> DatasetOneShotDetection:
    """Return :func:`build_dataset`, called as in the published program."""
    return build_dataset(
        name,
        Path(data_path).absolute(),
        eval_scale=eval_scale,
        cache_images=cache_images,
        no_image_reading=no_image_reading,
        logger_prefix=logger_prefix,
    )
