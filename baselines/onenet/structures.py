"""What passes between the rooms of OneNet: targets, raw predictions and detections.

Boxes are ``x1, y1, x2, y2`` in pixels: of the network's input in targets and raw predictions, of the original image in
detections.

Shapes: B images, K classes, L prediction locations of an image, P values of a prior, N boxes of an image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from os2d.structures.sizes import Size


@dataclass(frozen=True, eq=False)
class Targets:
    """The objects of one image.

    Args:
        classes_N: int64, from 0 and without gaps.
        boxes_N4: float32.
    """

    classes_N: Tensor
    boxes_N4: Tensor

    def __len__(self) -> int:
        return len(self.classes_N)

    def to(self, device: torch.device | str) -> Targets:
        """Return the targets on a device; from pinned memory without waiting."""
        return Targets(self.classes_N.to(device, non_blocking=True), self.boxes_N4.to(device, non_blocking=True))


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image, best first.

    Args:
        boxes_N4: float32, within the image and of a positive area.
        scores_N: float32, probabilities.
        classes_N: int64, from 0.
    """

    boxes_N4: Tensor
    scores_N: Tensor
    classes_N: Tensor

    def __len__(self) -> int:
        return len(self.scores_N)

    def __getitem__(self, index: Tensor | slice) -> Detections:
        """Return the detections that a mask, an index tensor or a slice selects."""
        return Detections(self.boxes_N4[index], self.scores_N[index], self.classes_N[index])

    def to(self, device: torch.device | str) -> Detections:
        """Return the detections on a device."""
        return Detections(self.boxes_N4.to(device), self.scores_N.to(device), self.classes_N.to(device))


@dataclass(frozen=True, eq=False)
class HeadOutput:
    """What a head predicts for a batch, before any choice; every location of every level in one row.

    Locations run level by level, row by row; where a location has several anchors these run fastest.

    Args:
        logits_BKL: of the classes, before the sigmoid.
        boxes_B4L: in pixels of the padded input, not clipped.
        priors_PL: what the boxes were predicted from, the same for every image: locations ``x, y`` or anchors
            ``x1, y1, x2, y2``.
        levels_L: int64 index of the level of each location; None for a head of one level.
        image_sizes: of the images before they were padded.
    """

    logits_BKL: Tensor
    boxes_B4L: Tensor
    priors_PL: Tensor
    levels_L: Tensor | None
    image_sizes: tuple[Size, ...]
