"""Images as the detector takes them: resized, normalised and padded to a common size.

Shapes: B images, 3 colour channels, h x w pixels of one image, H x W of the padded batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from yacs.config import CfgNode

from os2d.structures.sizes import Size


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """Images (B, 3, H, W) with zeros to the right of and below each, and their sizes without these."""

    images_B3HW: Tensor
    sizes: tuple[Size, ...]


@dataclass(frozen=True)
class PixelUnits:
    """What pixels look like to the network.

    Args:
        mean: in the order and the range of the channels that the network takes.
        std: the same.
        to_bgr255: the network takes blue, green, red of 0 to 255, as Caffe2 did, instead of RGB of 0 to 1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    to_bgr255: bool

    @staticmethod
    def from_config(config: CfgNode) -> PixelUnits:
        """Return the units of ``INPUT``."""
        inputs = config.INPUT
        return PixelUnits(tuple(inputs.PIXEL_MEAN), tuple(inputs.PIXEL_STD), inputs.TO_BGR255)

    def normalise(self, image_3hw: Tensor) -> Tensor:
        """Return an RGB image of 0 to 1 in these units."""
        pixels = image_3hw.flip(0) * 255 if self.to_bgr255 else image_3hw
        return (pixels - pixels.new_tensor(self.mean).view(3, 1, 1)) / pixels.new_tensor(self.std).view(3, 1, 1)


def resized_size(size: Size, short_side: int, longest: int) -> Size:
    """Return the size at which the shorter side has ``short_side`` pixels, or the longer one ``longest`` if less.

    Sides are cut, not rounded, to whole pixels.
    """
    short, long = min(size), max(size)
    if long / short * short_side > longest:
        short_side = max(round(longest * short / long), 1)
    if short == short_side:
        return size
    if size.w < size.h:
        return Size(w=short_side, h=int(short_side * size.h / size.w))
    return Size(w=int(short_side * size.w / size.h), h=short_side)


def to_batch(images_3hw: Sequence[Tensor], divisor: int) -> ImageBatch:
    """Return normalised images as a batch whose sides are multiples of ``divisor``."""
    sizes = tuple(Size.of_tensor(image) for image in images_3hw)
    width, height = (-(-max(sides) // divisor) * divisor for sides in zip(*sizes, strict=True))
    batch_B3HW = images_3hw[0].new_zeros(len(images_3hw), 3, height, width)
    for padded, image in zip(batch_B3HW, images_3hw, strict=True):
        padded[:, : image.shape[1], : image.shape[2]] = image
    return ImageBatch(batch_B3HW, sizes)


def pixels_of(image_hw3: Tensor) -> Tensor:
    """Return an RGB picture of bytes (h, w, 3) as numbers of 0 to 1, (3, h, w)."""
    return image_hw3.permute(2, 0, 1).to(torch.float32) / 255
