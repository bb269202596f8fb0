"""Axis-aligned boxes ``x1, y1, x2, y2`` in pixels: what is computed on them, and lists of them in an image.

Shapes: N boxes, M other boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torchvision.ops import box_area, box_iou

from os2d.structures.sizes import Size

__all__ = ["BoxList", "box_area", "box_intersection", "box_iou", "clip", "has_area", "paired_iou"]

CORNERS_AROUND = (0, 1, 3, 2)
"""Corners of an aligned class image are kept as top left, top right, bottom left, bottom right: a walk around them."""


def box_intersection(boxes_N4: Tensor, others_M4: Tensor) -> Tensor:
    """Return the area that every box shares with every other box, N x M.

    >>> others = torch.tensor([[2.0, 0.0, 6.0, 4.0], [5.0, 5.0, 6.0, 6.0]])
    >>> box_intersection(torch.tensor([[0.0, 0.0, 4.0, 4.0]]), others)
    tensor([[8., 0.]])
    """
    return _shared_area(boxes_N4[:, None], others_M4[None])


def paired_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the intersection over union of boxes and others position by position; both (..., 4), broadcast.

    Two boxes without an area give NaN.

    >>> paired_iou(torch.tensor([0.0, 0.0, 4.0, 4.0]), torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 2.0]]))
    tensor([1.0000, 0.5000])
    """
    intersection = _shared_area(boxes, others)
    area = (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)
    other_area = (others[..., 2:] - others[..., :2]).prod(dim=-1)
    return intersection / (area + other_area - intersection)


def _shared_area(boxes: Tensor, others: Tensor) -> Tensor:
    top_left = torch.maximum(boxes[..., :2], others[..., :2])
    bottom_right = torch.minimum(boxes[..., 2:], others[..., 2:])
    return (bottom_right - top_left).clamp(min=0).prod(dim=-1)


def clip(boxes: Tensor, size: Size) -> Tensor:
    """Return the boxes (..., 4) cut to ``[0, w] x [0, h]``.

    >>> clip(torch.tensor([-5.0, 10.0, 700.0, 20.0]), Size(w=640, h=480))
    tensor([  0.,  10., 640.,  20.])
    """
    limits = boxes.new_tensor([size.w, size.h, size.w, size.h])
    return torch.minimum(boxes.clamp(min=0), limits)


def has_area(boxes: Tensor) -> Tensor:
    """Return which boxes (..., 4) have a positive width and height."""
    return (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])


@dataclass(frozen=True, eq=False)
class BoxList:
    """Boxes in an image of a known size, with named values per box; every method returns a new list.

    >>> boxes = torch.tensor([[10.0, 20.0, 30.0, 40.0], [0.0, 0.0, 100.0, 50.0]])
    >>> found = BoxList(boxes, Size(w=100, h=50), {"scores": torch.tensor([0.9, 0.2])})
    >>> sure = found[found.field("scores") > 0.5]
    >>> len(sure), sure.resized(Size(w=200, h=100)).boxes_xyxy.tolist()
    (1, [[20.0, 40.0, 60.0, 80.0]])

    Args:
        boxes_xyxy: (N, 4), floating point: x and y of the top left corner, then of the bottom right one, in pixels.
        size: of the image the coordinates refer to.
        fields: name -> tensor whose first dimension is N, such as ``labels`` or ``scores``.

    Raises:
        ValueError: the boxes have another shape or are whole numbers, or a field has another length.
    """

    boxes_xyxy: Tensor
    size: Size
    fields: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.boxes_xyxy.ndim != 2 or self.boxes_xyxy.shape[1] != 4:
            raise ValueError(f"boxes: expected shape (N, 4), got {tuple(self.boxes_xyxy.shape)}")
        if not self.boxes_xyxy.is_floating_point():  # whole numbers would silently round every later result
            raise ValueError(f"boxes: expected floating point coordinates, got {self.boxes_xyxy.dtype}")
        for name, values in self.fields.items():
            if len(values) != len(self):
                raise ValueError(f"field {name!r}: expected {len(self)} values, one per box, got {len(values)}")

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    def __getitem__(self, index: Tensor | slice) -> BoxList:
        """Return the boxes that a mask, an index tensor or a slice selects."""
        return BoxList(self.boxes_xyxy[index], self.size, {name: t[index] for name, t in self.fields.items()})

    def field(self, name: str) -> Tensor:
        """Return the values of a field."""
        return self.fields[name]

    def with_field(self, name: str, values: Tensor) -> BoxList:
        """Return the list with a field added or replaced."""
        return replace(self, fields={**self.fields, name: values})

    def with_boxes(self, boxes_xyxy: Tensor, size: Size) -> BoxList:
        """Return the list with other coordinates, in an image of another size; the fields stay."""
        return replace(self, boxes_xyxy=boxes_xyxy, size=size)

    def resized(self, size: Size) -> BoxList:
        """Return the list for the same image resized to ``size``."""
        scale_x, scale_y = size.w / self.size.w, size.h / self.size.h
        scale = self.boxes_xyxy.new_tensor([scale_x, scale_y, scale_x, scale_y])
        return self.with_boxes(self.boxes_xyxy * scale, size)

    def to(self, device: torch.device | str) -> BoxList:
        """Return the list with every tensor on ``device``."""
        fields = {name: t.to(device) for name, t in self.fields.items()}
        return BoxList(self.boxes_xyxy.to(device), self.size, fields)

    @staticmethod
    def cat(lists: Sequence[BoxList]) -> BoxList:
        """Return all boxes of lists that share the image size and the names of the fields."""
        first = lists[0]
        for other in lists[1:]:
            if other.size != first.size or other.fields.keys() != first.fields.keys():
                raise ValueError(
                    f"cannot join boxes in {first.size} with fields {sorted(first.fields)} "
                    f"and boxes in {other.size} with fields {sorted(other.fields)}"
                )
        fields = {name: torch.cat([boxes.fields[name] for boxes in lists]) for name in first.fields}
        return BoxList(torch.cat([boxes.boxes_xyxy for boxes in lists]), first.size, fields)
