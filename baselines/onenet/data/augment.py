"""What happens to a training image and its boxes: mirrored or not, perhaps enlarged and cropped, then resized.

The steps are drawn first and done afterwards, so that image and boxes cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from PIL import Image
from torch import Generator, Tensor
from yacs.config import CfgNode

from baselines.onenet.data.resize import shortest_edge_size
from os2d.choices import choose
from os2d.structures.affine import BoxTransform
from os2d.structures.sizes import Size

SIZES_BEFORE_CROP = (400, 500, 600)
"""Shorter edges, in pixels, one of which an image has before it is cropped."""

IS_MIRRORED = {"horizontal": True, "none": False}
"""``INPUT.RANDOM_FLIP`` -> whether half of the images are."""

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


def draw_steps(size: Size, config: CfgNode, generator: Generator) -> list[Step]:
    """Return the steps for one training image of a size, as ``INPUT`` wants them."""
    settings = config.INPUT
    steps: list[Step] = []
    if choose("INPUT.RANDOM_FLIP", settings.RANDOM_FLIP, IS_MIRRORED) and _coin(generator):
        steps.append(Mirror())
    if settings.CROP.ENABLED and _coin(generator):
        larger = shortest_edge_size(size, _choice(SIZES_BEFORE_CROP, generator), inf)
        smallest_px, largest_px = settings.CROP.SIZE
        crop = _draw_crop(larger, smallest_px, largest_px, generator)
        steps += [Resize(larger), crop]
        size = crop.target
    shorter = _choice(settings.MIN_SIZE_TRAIN, generator)
    return [*steps, Resize(shortest_edge_size(size, shorter, settings.MAX_SIZE_TRAIN))]


def _draw_crop(size: Size, smallest_px: int, largest_px: int, generator: Generator) -> Crop:
    """Return a crop whose edges and place are uniform over the possible whole numbers."""
    h, w = (_whole(min(edge, smallest_px), min(edge, largest_px), generator) for edge in (size.h, size.w))
    top, left = _whole(0, size.h - h, generator), _whole(0, size.w - w, generator)
    return Crop(left, top, Size(w, h))


def _coin(generator: Generator) -> bool:
    return bool(torch.rand((), generator=generator) < 0.5)


def _choice(values: Sequence[int], generator: Generator) -> int:
    return values[_whole(0, len(values) - 1, generator)]


def _whole(smallest: int, largest: int, generator: Generator) -> int:
    """Return a whole number; both ends are possible."""
    return int(torch.randint(smallest, largest + 1, (), generator=generator))


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
