"""Which images make a batch: neighbours by the ratio of their sides, so that little of a batch is padding.

Legend: N training images, in groups of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from os2d.structures.sizes import Size

NARROWEST, WIDEST = 0.5, 2.0
"""Images beyond these ratios of width to height are cropped."""


class Group(NamedTuple):
    """The images of a batch, by position, and the ratio to which they are padded."""

    members: list[int]
    ratio: float


class BatchOrder:
    """The groups, and their order in every epoch.

    Args:
        sizes: of the images.
        batch_size: images per group.
    """

    def __init__(self, sizes: Sequence[Size], batch_size: int) -> None:
        ratios = np.clip([size.w / size.h for size in sizes], NARROWEST, WIDEST)
        rising = np.argsort(ratios, kind="stable")
        self.groups = [
            Group(rising[start : start + batch_size].tolist(), _target(ratios[rising[start : start + batch_size]]))
            for start in range(0, len(sizes), batch_size)
        ]
        self._complete = len(sizes) // batch_size

    def __len__(self) -> int:
        return len(self.groups)

    def of_epoch(self, rng: np.random.Generator) -> list[Group]:
        """Return the groups in random order; an incomplete one comes last."""
        order = rng.permutation(self._complete).tolist()
        return [self.groups[number] for number in [*order, *range(self._complete, len(self.groups))]]


def needs_crop(size: Size) -> bool:
    """Return whether an image is so long that a part of it is taken."""
    return not NARROWEST <= size.w / size.h <= WIDEST


def _target(rising: np.ndarray) -> float:
    """Return the ratio that needs no cropping of any image of a group, 1 if some are tall and some wide."""
    if rising[-1] < 1:
        return float(rising[0])
    return float(rising[-1]) if rising[0] > 1 else 1.0
