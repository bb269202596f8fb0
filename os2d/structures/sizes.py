"""Sizes in pixels or cells, as named pairs so that width and height cannot be swapped by mistake."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

if TYPE_CHECKING:  # planners read image sizes and need no torch
    from torch import Tensor


class Size(NamedTuple):
    """Width and height; hashable.

    >>> Size(w=640, h=481).in_cells(16)
    Size(w=40, h=31)
    """

    w: int
    h: int

    @classmethod
    def of_image(cls, image: Image.Image) -> Size:
        """Return the size of a PIL image."""
        return cls(*image.size)

    @classmethod
    def of_tensor(cls, tensor: Tensor) -> Size:
        """Return the size of a tensor (..., h, w)."""
        return cls(w=tensor.shape[-1], h=tensor.shape[-2])

    def scaled(self, factor: float) -> Size:
        """Return the size times ``factor``, rounded down, at least one pixel per side."""
        return Size(max(int(self.w * factor), 1), max(int(self.h * factor), 1))

    def in_cells(self, stride: int) -> Size:
        """Return how many cells of ``stride`` pixels it takes to cover the size, the size of its feature map."""
        return Size(-(-self.w // stride), -(-self.h // stride))


def scaled_to_area(size: Size, side: float) -> Size:
    """Return the size of the same aspect ratio whose area is ``side`` squared, rounded down, at least one pixel.

    >>> scaled_to_area(Size(w=400, h=100), side=240)
    Size(w=480, h=120)
    """
    ratio = size.h / size.w
    return Size(max(int(side / sqrt(ratio)), 1), max(int(side * sqrt(ratio)), 1))
