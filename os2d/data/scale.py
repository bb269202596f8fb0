"""At which image size the objects of a data set are as large as the anchors."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from statistics import median

from os2d.data.annotation import Annotation, read_annotation
from os2d.data.catalog import DatasetSource, find_dataset
from os2d.data.images import loaded_size, read_image_size
from os2d.data.preparation import prepare
from os2d.errors import DataError


def recommended_scale(name: str, data_root: Path, anchor_side: float = 240.0) -> int:
    """Return the data set scale at which the median object has ``sqrt(w * h) = anchor_side`` pixels.

    Difficult boxes do not count. Use the result for ``train.dataset_scale`` and ``eval.dataset_scales``.

    Raises:
        DataError: the data set cannot be read or has no box that counts.
    """
    source = find_dataset(name, data_root)
    prepare(source, data_root)
    sizes = object_sizes(source, read_annotation(source))
    if not sizes:
        raise DataError(f"data set {name!r}: every box is difficult, so no scale can be recommended")
    return int(source.nominal_size * anchor_side / median(sizes))


def object_sizes(source: DatasetSource, annotation: Annotation) -> list[float]:
    """Return ``sqrt(w * h)`` of every box that is not difficult, in pixels of the loaded images."""
    area_of_image = {}
    for image_id, file_name in annotation.file_of_image.items():
        size = loaded_size(read_image_size(source.images / file_name), source.nominal_size)
        area_of_image[image_id] = size.w * size.h
    rows = [row for row in annotation.rows if not row.difficult]
    return [sqrt((row.rx - row.lx) * (row.by - row.ty) * area_of_image[row.imageid]) for row in rows]
