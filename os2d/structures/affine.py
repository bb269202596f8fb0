"""Maps between image frames that keep boxes boxes: scaling, shifting and mirroring each axis."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from os2d.structures.sizes import Size


@dataclass(frozen=True)
class BoxTransform:
    """The map ``x' = scale * x + shift`` per axis, in pixels; a negative scale mirrors the axis.

    >>> box = torch.tensor([20.0, 10.0, 60.0, 30.0])
    >>> to_patch = BoxTransform.crop(left=10, top=10).then(BoxTransform.between(Size(w=100, h=50), Size(w=200, h=100)))
    >>> to_patch.apply(box)
    tensor([ 20.,   0., 100.,  40.])
    >>> to_patch.inverse().apply(to_patch.apply(box))
    tensor([20., 10., 60., 30.])
    >>> BoxTransform.mirror_x(width=100).apply(box)
    tensor([40., 10., 80., 30.])

    Raises:
        ValueError: a scale is zero.
    """

    scale_x: float = 1.0
    scale_y: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0

    def __post_init__(self) -> None:
        if self.scale_x == 0 or self.scale_y == 0:
            raise ValueError(f"a scale of zero cannot be undone: {self}")

    @staticmethod
    def identity() -> BoxTransform:
        """Return the map that changes nothing."""
        return BoxTransform()

    @staticmethod
    def between(source: Size, target: Size) -> BoxTransform:
        """Return the map from an image to the same image resized."""
        return BoxTransform(target.w / source.w, target.h / source.h)

    @staticmethod
    def crop(left: float, top: float) -> BoxTransform:
        """Return the map from an image to a crop of it whose top-left corner is at ``left, top``."""
        return BoxTransform(shift_x=-left, shift_y=-top)

    @staticmethod
    def mirror_x(width: int) -> BoxTransform:
        """Return the map from an image to its left-right mirror image."""
        return BoxTransform(scale_x=-1.0, shift_x=float(width))

    @staticmethod
    def mirror_y(height: int) -> BoxTransform:
        """Return the map from an image to its upside-down mirror image."""
        return BoxTransform(scale_y=-1.0, shift_y=float(height))

    def apply(self, boxes_xyxy: Tensor) -> Tensor:
        """Return the mapped boxes (..., 4), still with ``x1 <= x2`` and ``y1 <= y2`` where an axis is mirrored."""
        mapped = self._map_points(boxes_xyxy)
        if self.scale_x > 0 and self.scale_y > 0:
            return mapped
        x1, y1, x2, y2 = mapped.unbind(-1)
        if self.scale_x < 0:
            x1, x2 = x2, x1
        if self.scale_y < 0:
            y1, y2 = y2, y1
        return torch.stack([x1, y1, x2, y2], dim=-1)

    def apply_corners(self, corners: Tensor) -> Tensor:
        """Return the mapped corner points (..., 8), each point as x, y, in the same order."""
        return self._map_points(corners)

    def _map_points(self, points: Tensor) -> Tensor:
        count = points.shape[-1] // 2
        scale = points.new_tensor([self.scale_x, self.scale_y] * count)
        shift = points.new_tensor([self.shift_x, self.shift_y] * count)
        return points * scale + shift

    def inverse(self) -> BoxTransform:
        """Return the map back."""
        return BoxTransform(
            1 / self.scale_x, 1 / self.scale_y, -self.shift_x / self.scale_x, -self.shift_y / self.scale_y
        )

    def then(self, other: BoxTransform) -> BoxTransform:
        """Return the map that does this one first and ``other`` next."""
        return BoxTransform(
            other.scale_x * self.scale_x,
            other.scale_y * self.scale_y,
            other.scale_x * self.shift_x + other.shift_x,
            other.scale_y * self.shift_y + other.shift_y,
        )
