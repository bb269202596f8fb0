"""Images and queries as evaluation wants them: whole, at every scale, without randomness.

Shapes: 3 colour channels, h x w pixels of a level, s x s pixels of a query, V views of a class image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from baselines.coae.data.pixels import query_image, scaled_image
from baselines.coae.data.records import ImageRecord, Records
from os2d.choices import choose
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

QUARTER_TURNS: dict[str, tuple[int, ...]] = {"": (0,), "rotation90": (0, 1, 2, 3)}
"""``eval.class_image_augmentation`` -> views: quarter turns counter-clockwise."""


@dataclass(frozen=True, eq=False)
class EvalImage:
    """An image at every scale.

    Args:
        levels: per scale, (3, h, w) normalised.
        factors: per scale, from pixels on disk to pixels of the level.
        size: on disk; boxes and results refer to it.
        truth: fields ``labels`` (class ids) and ``difficult``.
    """

    levels: list[Tensor]
    factors: list[float]
    size: Size
    truth: BoxList


class EvalImages:
    """Number of an image -> the image.

    Args:
        records: the data set.
        scales: shorter sides, in pixels.
    """

    def __init__(self, records: Records, scales: Sequence[int]) -> None:
        self.records = records
        self.scales = scales

    def __len__(self) -> int:
        return len(self.records.images)

    def __getitem__(self, number: int) -> EvalImage:
        record = self.records.images[number]
        return eval_image(self.records.image(record), self.scales, truth_of(record, self.records.class_ids))


def eval_image(image: Image.Image, scales: Sequence[float], truth: BoxList) -> EvalImage:
    """Return an image at every scale."""
    factors = [scale / min(image.size) for scale in scales]
    return EvalImage([scaled_image(image, factor) for factor in factors], factors, Size.of_image(image), truth)


def truth_of(record: ImageRecord, class_ids: Sequence[int]) -> BoxList:
    """Return the annotated boxes, in pixels of the image on disk."""
    labels = torch.tensor([class_ids[number - 1] for number in record.classes_N.tolist()], dtype=torch.int64)
    fields = {"labels": labels, "difficult": torch.from_numpy(record.difficult_N)}
    return BoxList(torch.from_numpy(record.boxes_N4).float(), record.size, fields)


def query_views(image: Image.Image, size: int, augmentation: str) -> Tensor:
    """Return the views of a class image, V x 3 x s x s."""
    query_3ss = query_image(image, size)
    return torch.stack(
        [
            query_3ss.rot90(turns, (1, 2))
            for turns in choose("eval.class_image_augmentation", augmentation, QUARTER_TURNS)
        ]
    )
