"""What happens to a training image and its boxes: mirrored or not, perhaps enlarged and cropped, then resized.

The steps are drawn first and done afterwards, so that image and boxes cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from yacs.config import CfgNode

from baselines.onenet.data.resize import shortest_edge_size
from os2d.structures.affine import BoxTransform
from os2d.structures.sizes import Size

SIZES_BEFORE_CROP = (400, 500, 600)
"""Shorter edges, in pixels, one of which an image has before it is cropped."""

SMALLEST_EDGE_PX = 1e-5
"""Boxes that are no larger than this in one direction are no objects any more."""


@dataclass(frozen=True)
class Mirror:
    """Swap left and right."""

    def image(self, image: Image.Image) -> Image.Image:
        """Return the image after this step."""
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    def boxes(self, size: Size) -> BoxTransform:
        """Return what the step does to boxes of an image of a size."""
        return BoxTransform.mirror_x(size.w)

    def size(self, size: Size) -> Size:
        """Return the size after this step."""
        return size


@dataclass(frozen=True)
class Resize:
    """Give the image another size, bilinear and antialiased."""

    target: Size

    def image(self, image: Image.Image) -> Image.Image:
        """Return the image after this step."""
        return image if image.size == self.target else image.resize(self.target, Image.Resampling.BILINEAR)

    def boxes(self, size: Size) -> BoxTransform:
        """Return what the step does to boxes of an image of a size."""
        return BoxTransform.between(size, self.target)

    def size(self, size: Size) -> Size:
        """Return the size after this step."""
        return self.target


@dataclass(frozen=True)
class Crop:
    """Keep a part of the image."""

    left: int
    top: int
    target: Size

    def image(self, image: Image.Image) -> Image.Image:
        """Return the image after this step."""
        return image.crop((self.left, self.top, self.left + self.target.w, self.top + self.target.h))

    def boxes(self, size: Size) -> BoxTransform:
        """Return what the step does to boxes of an image of a size."""
        return BoxTransform.crop(self.left, self.top)

    def size(self, size: Size) -> Size:
        """Return the size after this step."""
        return self.target


Step = Mirror | Resize | Crop


def draw_steps(size: Size, config: CfgNode, random: np.random.Generator) -> list[Step]:
    """Return the steps for one training image of a size, as ``INPUT`` wants them."""
    settings = config.INPUT
    steps: list[Step] = []
    if settings.RANDOM_FLIP == "horizontal" and random.random() < 0.5:
        steps.append(Mirror())
    if settings.CROP.ENABLED and random.random() < 0.5:
        larger = shortest_edge_size(size, int(random.choice(SIZES_BEFORE_CROP)), inf)
        smallest_px, largest_px = settings.CROP.SIZE
        crop = _draw_crop(larger, smallest_px, largest_px, random)
        steps += [Resize(larger), crop]
        size = crop.target
    shorter = int(random.choice(settings.MIN_SIZE_TRAIN))
    return [*steps, Resize(shortest_edge_size(size, shorter, settings.MAX_SIZE_TRAIN))]


def _draw_crop(size: Size, smallest_px: int, largest_px: int, random: np.random.Generator) -> Crop:
    """Return a crop whose edges and place are uniform over the possible whole numbers."""
    h, w = (int(random.integers(min(edge, smallest_px), min(edge, largest_px) + 1)) for edge in (size.h, size.w))
    top, left = int(random.integers(size.h - h + 1)), int(random.integers(size.w - w + 1))
    return Crop(left, top, Size(w, h))


def transform_image(image: Image.Image, steps: Sequence[Step]) -> Image.Image:
    """Return the image after all steps."""
    for step in steps:
        image = step.image(image)
    return image


def transform_boxes(boxes_xyxy: Tensor, size: Size, steps: Sequence[Step]) -> tuple[Tensor, Tensor]:
    """Return the boxes (N, 4) after all steps, clipped to the image, and which of them still show something.

    A box may lose its centre to a crop; it stays as long as a part of it remains.

    Args:
        boxes_xyxy: float64, in pixels of the image before the first step; they may leave it.
        size: of that image.
        steps: in their order.
    """
    transform = BoxTransform.identity()
    for step in steps:
        transform, size = transform.then(step.boxes(size)), step.size(size)
    limits = boxes_xyxy.new_tensor([size.w, size.h, size.w, size.h])
    boxes = torch.minimum(transform.apply(boxes_xyxy).clamp(min=0), limits).float()
    is_left = ((boxes[:, 2:] - boxes[:, :2]) > SMALLEST_EDGE_PX).all(dim=1)
    return boxes, is_left
