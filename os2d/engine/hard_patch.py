"""A hard patch: an anchor worth training on, and the crop of the image around it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

ROLES = ("neg", "pos", "pos_loc")
"""A negative or positive anchor with a high class loss; a positive one with a high localisation loss."""


@dataclass(eq=False)
class MinedPatch:
    """One of them.

    Args:
        image_id: the image.
        role: one of ``ROLES``.
        label_global: class id.
        label_local: position of the class in the list that was looked for.
        pyramid_level: where it was found.
        anchor_index: in that level.
        loss: class loss.
        loss_loc: localisation loss.
        score: of the class.
        crop_position_xyxy: one box, in the loaded image.
        anchor_position_xyxy: one box, in the loaded image.
        transform_corners: (8,) corners of the aligned class image in the loaded image.
    """

    image_id: int
    role: str
    label_global: int
    label_local: int
    pyramid_level: int
    anchor_index: int
    loss: float
    loss_loc: float
    score: float
    crop_position_xyxy: BoxList
    anchor_position_xyxy: BoxList
    transform_corners: Tensor

    def as_plain(self) -> dict[str, Any]:
        """Return tensors and plain values for a checkpoint."""
        crop, anchor = self.crop_position_xyxy, self.anchor_position_xyxy
        boxes = {"crop_position_xyxy": crop.boxes_xyxy, "anchor_position_xyxy": anchor.boxes_xyxy}
        return {**vars(self), **boxes, "frame": list(crop.size)}

    @staticmethod
    def from_plain(values: dict[str, Any]) -> MinedPatch:
        """Return the patch that :meth:`as_plain` described."""
        frame = Size(*values["frame"])
        boxes = {name: BoxList(values[name], frame) for name in ("crop_position_xyxy", "anchor_position_xyxy")}
        return MinedPatch(**{**{name: value for name, value in values.items() if name != "frame"}, **boxes})


HardPatches = OrderedDict[int, list[MinedPatch]]
"""Image id -> its patches, by role and falling loss."""
