"""Which images make up which training batch: a function of the seed and the number of the batch alone.

So a resumed training goes on with the batch it would have seen, and any process can compute any batch. All images
stand in one endless line, shuffled again for every pass, from which the processes take turns. A batch holds images
that are wide, or images that are not, so that little of it is padding; it is complete as soon as enough images of its
kind have passed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator

from os2d.randomness import numbered_generator

Numbers = npt.NDArray[np.int64]

DRAWS_AT_ONCE = 65536
"""Places of the line that are worked out together; many passes of a small data set."""

ORDER_STREAM, SAMPLE_STREAM = 0, 1
"""Keep the random numbers of the order apart from those of the images."""


class Draw(NamedTuple):
    """One image of a batch.

    Args:
        place: in the line of all processes; what is drawn for the image depends on it.
        image: its number.
    """

    place: int
    image: int


class TrainingOrder:
    """Batch number -> images, for one process.

    Args:
        is_wide: which images are wider than high, one entry per image.
        batch_size: images per batch of this process.
        seed: of the shuffles.
        rank: of this process.
        world_size: number of processes.
        grouped: keep wide images and others apart.
    """

    def __init__(
        self, is_wide: npt.NDArray[np.bool_], batch_size: int, seed: int, rank: int, world_size: int, *, grouped: bool
    ) -> None:
        self.group = is_wide.astype(np.int64) if grouped else np.zeros(len(is_wide), dtype=np.int64)
        self.batch_size, self.seed = batch_size, seed
        self.rank, self.world_size = rank, world_size
        self._restart()

    def __getitem__(self, number: int) -> list[Draw]:
        """Return the images of a batch; fast where batches are asked for in ascending order."""
        if number < self._first:
            self._restart()
        while number >= self._first + len(self._batches):
            self._advance()
        return [Draw(*pair) for pair in self._batches[number - self._first].tolist()]

    def _restart(self) -> None:
        self._stretch, self._first = 0, 0
        self._batches: Numbers = np.empty((0, self.batch_size, 2), dtype=np.int64)
        self._waiting: list[Numbers] = [np.empty((0, 2), dtype=np.int64)] * 2

    def _advance(self) -> None:
        """Go on to the batches that the next stretch of the line completes."""
        line = self._line(self._stretch)
        complete = []
        for kind, waiting in enumerate(self._waiting):
            line_of_kind = np.concatenate([waiting, line[self.group[line[:, 1]] == kind]])
            whole = len(line_of_kind) // self.batch_size * self.batch_size
            complete.append(line_of_kind[:whole].reshape(-1, self.batch_size, 2))
            self._waiting[kind] = line_of_kind[whole:]
        self._first += len(self._batches)
        self._stretch += 1
        batches = np.concatenate(complete)
        self._batches = batches[np.argsort(batches[:, -1, 0])]  # by the place that completed them

    def _line(self, stretch: int) -> Numbers:
        """Return places and images of this process in a stretch of whole passes."""
        images = len(self.group)
        passes = -(-DRAWS_AT_ONCE // images)
        generator = numbered_generator(self.seed, ORDER_STREAM, stretch)
        keys = torch.rand(passes, images, generator=generator, dtype=torch.float64)
        order = keys.argsort(dim=1, stable=True).reshape(-1).numpy()
        places = stretch * passes * images + np.arange(len(order))
        mine = places % self.world_size == self.rank
        return np.stack([places[mine], order[mine]], axis=1)


def generator_of_place(seed: int, place: int) -> Generator:
    """Return the generator for the image at a place of the line."""
    return numbered_generator(seed, SAMPLE_STREAM, place)
