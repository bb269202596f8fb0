"""Detections as an evaluation without a score threshold leaves them: many, most of them wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

IMAGE_SIZE = Size(1280, 960)
BOXES_PER_IMAGE = 8
SIDES_PX = (60.0, 300.0)


@dataclass(frozen=True)
class Detected:
    """Detections and annotated boxes, per image."""

    found: list[BoxList]
    truth: list[BoxList]

    def as_plain(self) -> dict[str, Any]:
        """Return tensors for a file: boxes, labels and scores; boxes, labels and difficult flags."""
        return {
            "size": list(IMAGE_SIZE),
            "found": [(b.boxes_xyxy, b.field("labels"), b.field("scores")) for b in self.found],
            "truth": [(b.boxes_xyxy, b.field("labels"), b.field("difficult")) for b in self.truth],
        }


def draw_detections(images: int, classes: int, per_image: int, seed: int = 0) -> Detected:
    """Return random detections; a few of every image lie near an annotated box of their class."""
    generator = torch.Generator().manual_seed(seed)
    # A score occurs once only: the order of equal scores is nobody's contract.
    scores = torch.randperm(images * per_image, generator=generator).view(images, per_image) / (images * per_image)
    found, truth = [], []
    for of_image in scores:
        boxes = _random_boxes(BOXES_PER_IMAGE, generator)
        labels = torch.randint(classes, (BOXES_PER_IMAGE,), generator=generator)
        difficult = torch.rand(BOXES_PER_IMAGE, generator=generator) < 0.2
        truth.append(BoxList(boxes, IMAGE_SIZE, {"labels": labels, "difficult": difficult}))
        detected = _random_boxes(per_image, generator)
        detected_labels = torch.randint(classes, (per_image,), generator=generator)
        near = min(3 * BOXES_PER_IMAGE, per_image)
        target = torch.arange(near) % BOXES_PER_IMAGE
        detected[:near] = boxes[target] + 12 * torch.randn(near, 4, generator=generator)
        detected_labels[:near] = labels[target]
        found.append(BoxList(detected, IMAGE_SIZE, {"labels": detected_labels, "scores": of_image}))
    return Detected(found, truth)


def _random_boxes(count: int, generator: torch.Generator) -> Tensor:
    low, high = SIDES_PX
    sides = low + (high - low) * torch.rand(count, 2, generator=generator)
    corner = torch.rand(count, 2, generator=generator) * (torch.tensor(IMAGE_SIZE) - sides)
    return torch.cat([corner, corner + sides], dim=1)
