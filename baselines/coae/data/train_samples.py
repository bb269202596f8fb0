"""One training image with its query: scaled, cropped where it is very long, padded to the ratio of its batch.

Legend: N boxes, G rows of boxes, zero where an image has fewer.
"""

from __future__ import annotations

from math import ceil, floor
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from baselines.coae.data.batch_order import needs_crop
from baselines.coae.data.pixels import query_image, scaled_image
from baselines.coae.data.records import ImageRecord, Records

QUERY_MIRRORED = 0.49
"""Share of the queries that are mirrored, where mirroring is on."""


class SampleDraws(NamedTuple):
    """Every random choice about a sample.

    Args:
        scale: length of the shorter side, in pixels.
        query_class: number of the class that is asked for.
        order_N: of the boxes; only the first G are learned from.
        crop_share: in [0, 1), where among the possible places a crop begins.
        mirror_query: exchange left and right of the query.
    """

    scale: int
    query_class: int
    order_N: NDArray[np.int64]
    crop_share: float
    mirror_query: bool


class Sample(NamedTuple):
    """A training image (3, h, w) with its query, boxes G x 4, and which of them are of the query's class."""

    image_3hw: Tensor
    query_3ss: Tensor
    boxes_G4: Tensor
    is_query_G: Tensor
    factor: float


def draw_sample(
    rng: np.random.Generator,
    record: ImageRecord,
    scales: list[int],
    probability_K: NDArray[np.float64],
    *,
    mirrors_queries: bool,
) -> SampleDraws:
    """Draw the choices about an image; classes with few boxes in the data set are asked for more often."""
    present = np.unique(record.classes_N)
    chances = probability_K[present - 1]
    return SampleDraws(
        scale=int(rng.choice(scales)),
        query_class=int(rng.choice(present, p=chances / chances.sum())),
        order_N=rng.permutation(len(record.classes_N)),
        crop_share=float(rng.random()),
        mirror_query=bool(rng.random() < QUERY_MIRRORED) and mirrors_queries,
    )


def make_sample(
    records: Records, record: ImageRecord, draws: SampleDraws, ratio: float, query_size: int, max_boxes: int
) -> Sample:
    """Return the sample that the choices lead to.

    Args:
        records: the data set.
        record: the image, with at least one box.
        draws: the choices.
        ratio: of width to height, to which the image is padded.
        query_size: side of the query, in pixels.
        max_boxes: G.
    """
    factor = draws.scale / min(record.size)
    image_3hw = scaled_image(records.image(record), factor)
    boxes_N4 = record.boxes_N4[draws.order_N].astype(np.float32) * np.float32(factor)
    is_query_N = (record.classes_N[draws.order_N] == draws.query_class).astype(np.float32)
    if needs_crop(record.size):
        image_3hw, boxes_N4 = crop_to_ratio(image_3hw, boxes_N4, ratio, draws.crop_share)
    has_sides_N = (boxes_N4[:, 0] != boxes_N4[:, 2]) & (boxes_N4[:, 1] != boxes_N4[:, 3])
    query_3ss = query_image(records.class_image(draws.query_class), query_size)
    return Sample(
        image_3hw=pad_to_ratio(image_3hw, ratio),
        query_3ss=query_3ss.flip(2) if draws.mirror_query else query_3ss,
        boxes_G4=_rows(boxes_N4[has_sides_N], max_boxes),
        is_query_G=_rows(is_query_N[has_sides_N], max_boxes),
        factor=factor,
    )


def crop_to_ratio(
    image_3hw: Tensor, boxes_N4: NDArray[np.float32], ratio: float, share: float
) -> tuple[Tensor, NDArray[np.float32]]:
    """Return a part of an image around its boxes whose sides have a ratio, and the boxes in it."""
    height, width = image_3hw.shape[1:]
    axis, size = (1, height) if ratio < 1 else (0, width)
    length = min(floor(width / ratio) if ratio < 1 else ceil(height * ratio), size)
    first, last = int(boxes_N4[:, axis].min()), int(boxes_N4[:, axis + 2].max())
    start = crop_start(first, last, length, size, share)
    boxes_N4 = boxes_N4.copy()
    boxes_N4[:, [axis, axis + 2]] = (boxes_N4[:, [axis, axis + 2]] - start).clip(0, length - 1)
    return image_3hw.narrow(2 - axis, start, length), boxes_N4


def crop_start(first: int, last: int, length: int, size: int, share: float) -> int:
    """Return where a crop begins that shows as much as possible of the region between two pixels.

    Args:
        first: first pixel of the region.
        last: its last pixel.
        length: of the crop.
        size: of the image.
        share: in [0, 1), where among the possible places.
    """
    if first == 0:
        return 0
    surplus = last - first + 1 - length
    low, high = (first, first + surplus // 2) if surplus >= 0 else (max(last - length, 0), min(first, size - length))
    return low + floor(share * max(high - low, 0))


def pad_to_ratio(image_3hw: Tensor, ratio: float) -> Tensor:
    """Return an image with zeros at its right and lower side, so that its sides have a ratio; 1: a square."""
    height, width = image_3hw.shape[1:]
    if ratio < 1:
        wanted = ceil(width / ratio), width
    elif ratio > 1:
        wanted = height, ceil(height * ratio)
    else:
        wanted = max(height, width), max(height, width)
    return pad(image_3hw, (0, max(wanted[1] - width, 0), 0, max(wanted[0] - height, 0)))


def _rows(values: NDArray[np.float32], count: int) -> Tensor:
    """Return so many rows: the first of the values, then zeros."""
    rows = torch.zeros((count, *values.shape[1:]))
    rows[: min(len(values), count)] = torch.from_numpy(values[:count])
    return rows
