"""How large the objects of a data set are, and at which image size they are as large as the anchors.

Light on purpose (no torch, no pandas).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from os2d.data.annotation import Annotation, read_annotation
from os2d.data.catalog import DatasetSource, find_dataset
from os2d.data.images import loaded_size, read_image_size
from os2d.data.preparation import prepare
from os2d.errors import DataError

ANCHOR_SIDE_PX = 240.0


@dataclass(frozen=True)
class ObjectSizes:
    """Statistics of ``sqrt(w * h)`` over the boxes that are not difficult, in pixels of the loaded images.

    Median and percentiles are values of the list, at the positions where the published program takes them.

    Args:
        name: of the data set.
        objects: how many boxes count.
        image_size: nominal size of the images.
        recommended_scale: image size at which the median object is as large as the anchors, rounded down.
    """

    name: str
    objects: int
    image_size: int
    mean_px: float
    median_px: float
    percentile_10_px: float
    percentile_90_px: float
    recommended_scale: int


def recommended_scale(name: str, data_root: Path, anchor_side: float = ANCHOR_SIDE_PX) -> int:
    """Return the data set scale at which the median object has ``sqrt(w * h) = anchor_side`` pixels.

    Difficult boxes do not count. Use the result for ``train.dataset_scale`` and ``eval.dataset_scales``.

    Raises:
        DataError: the data set cannot be read or has no box that counts.
    """
    return measure_objects(name, data_root, anchor_side).recommended_scale


def measure_objects(name: str, data_root: Path, anchor_side: float = ANCHOR_SIDE_PX) -> ObjectSizes:
    """Return the statistics of a named data set, drawn or converted first where that is needed.

    Raises:
        DataError: the data set cannot be read or has no box that counts.
    """
    source = find_dataset(name, data_root)
    prepare(source, data_root)
    sizes = sorted(object_sizes(source, read_annotation(source)))
    if not sizes or sizes[len(sizes) // 2] == 0:
        what = "every box is difficult" if not sizes else "half of the boxes have no area"
        raise DataError(f"data set {name!r}: {what}, so no scale can be recommended")
    return statistics(source.name, sizes, source.nominal_size, anchor_side)


def statistics(name: str, ascending_px: Sequence[float], image_size: int, anchor_side: float) -> ObjectSizes:
    """Return the statistics of sizes in ascending order; there must be one."""
    count = len(ascending_px)
    median = ascending_px[count // 2]
    return ObjectSizes(
        name=name,
        objects=count,
        image_size=image_size,
        mean_px=sum(ascending_px) / count,
        median_px=median,
        percentile_10_px=ascending_px[count // 10],
        percentile_90_px=ascending_px[count * 9 // 10],
        recommended_scale=int(image_size * anchor_side / median),
    )


def object_sizes(source: DatasetSource, annotation: Annotation) -> list[float]:
    """Return ``sqrt(w * h)`` of every box that is not difficult, in pixels of the loaded images."""
    area_of_image = {}
    for image_id, file_name in annotation.file_of_image.items():
        size = loaded_size(read_image_size(source.images / file_name), source.nominal_size)
        area_of_image[image_id] = size.w * size.h
    rows = [row for row in annotation.rows if not row.difficult]
    shares = [(max(row.rx - row.lx, 0) * max(row.by - row.ty, 0), row.imageid) for row in rows]
    return [sqrt(share * area_of_image[image_id]) for share, image_id in shares]
