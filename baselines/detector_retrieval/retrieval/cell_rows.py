"""Which row is which cell, where the cells of pictures of different sizes are rows below each other.

Legend: N cells of all pictures, M of them after halving, T tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from baselines.winograd import SIDE, WINDOW


class CellRows:
    """Pictures of some sizes, each (height, width), row of cells by row of cells.

    Row N stands for what is outside of a picture.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]]) -> None:
        self.sizes = sizes
        self.counts = [height * width for height, width in sizes]
        self.number = sum(self.counts)

    @cached_property
    def halved(self) -> CellRows:
        """Every second cell of every second row."""
        return CellRows([(-(-height // 2), -(-width // 2)) for height, width in self.sizes])

    @cached_property
    def every_second(self) -> Tensor:
        """Rows of the cells that halving keeps, M."""
        return torch.cat([grid[::2, ::2].flatten() for grid in self._grids()])

    @cached_property
    def neighbours(self) -> Tensor:
        """Rows of the 3 x 3 cells around each that halving keeps, cell by cell, M * 9."""
        return torch.cat([windows.flatten() for windows in self._windows(side=3, step=2)])

    @cached_property
    def windows(self) -> Tensor:
        """Rows of the cells of each tile's window, cell by cell, 36 * T."""
        windows = [of_picture.flatten(0, 1).flatten(1) for of_picture in self._windows(WINDOW, SIDE)]
        return torch.cat(windows).T.flatten()

    @cached_property
    def in_tiles(self) -> Tensor:
        """Where each cell is among the 16 x T of the tiles, N."""
        grids = [(-(-height // SIDE), -(-width // SIDE)) for height, width in self.sizes]
        counts = [down * across for down, across in grids]
        inner = torch.arange(SIDE * SIDE).view(1, SIDE, 1, SIDE) * sum(counts)
        places = []
        for first, (down, across), (height, width) in zip(_starts(counts), grids, self.sizes, strict=True):
            tile = torch.arange(first, first + down * across).view(down, 1, across, 1)
            places.append((tile + inner).view(down * SIDE, across * SIDE)[:height, :width].flatten())
        return torch.cat(places)

    def _grids(self) -> Iterator[Tensor]:
        for first, (height, width) in zip(_starts(self.counts), self.sizes, strict=True):
            yield torch.arange(first, first + height * width).view(height, width)

    def _windows(self, side: int, step: int) -> Iterator[Tensor]:
        """Yield the rows of each picture's windows, which begin one cell outside: down x across x side x side."""
        for grid in self._grids():
            height, width = grid.shape
            down, across = -(-height // step), -(-width // step)
            padded = torch.full((down * step + side, across * step + side), self.number)
            padded[1 : 1 + height, 1 : 1 + width] = grid
            yield padded.unfold(0, side, step).unfold(1, side, step)[:down, :across]


def _starts(counts: Sequence[int]) -> list[int]:
    return [0, *accumulate(counts)][:-1]
