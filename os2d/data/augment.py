"""Random changes of training images and class images, as the published program makes them.

Every random choice comes from the generator that is passed in. Whatever moves pixels also returns the
:class:`BoxTransform` that moves boxes the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from PIL import Image
from torch import Generator, Tensor
from torchvision.transforms import functional as colour

from os2d.structures.affine import BoxTransform
from os2d.structures.boxes import BoxList, box_area, box_intersection
from os2d.structures.sizes import Size

FILTERS = (
    Image.Resampling.BOX,
    Image.Resampling.NEAREST,
    Image.Resampling.HAMMING,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BILINEAR,
)
CROP_TRIALS = 100
CUT_OFF_BELOW = 0.3  # share of a box inside the crop
DIFFICULT_BELOW = 0.7
NOT_IN_BATCH = -1  # label of a box whose class is not in the batch
CUT_OFF = -2  # label of a box that the crop removed
BRIGHTNESS, CONTRAST, SATURATION, HUE = 32 / 255, 0.5, 0.5, 0.1


class CropBox(NamedTuple):
    """A crop in whole pixels; it may reach beyond the image, where it is black."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> Size:
        """Width and height of the crop."""
        return Size(self.right - self.left, self.bottom - self.top)


@dataclass(frozen=True)
class Flips:
    """Which ways a whole batch is mirrored."""

    horizontal: bool = False
    vertical: bool = False

    def transform(self, size: Size) -> BoxTransform:
        """Return what the flips do to boxes in an image of this size."""
        across = BoxTransform.mirror_x(size.w) if self.horizontal else BoxTransform.identity()
        down = BoxTransform.mirror_y(size.h) if self.vertical else BoxTransform.identity()
        return across.then(down)

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the mirrored image."""
        if self.horizontal:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if self.vertical else image


@dataclass(frozen=True)
class CropRule:
    """How random training crops are drawn.

    Args:
        patch: size of the patch a crop is resized to.
        working_scale: factor from the loaded image to the scale of training.
        scale_jitter: crops are taken at a scale between this and its inverse times the working scale.
        aspect_jitter: their aspect ratio lies between this and its inverse times that of the patch.
        min_box_coverage: share of some box that a crop must contain.
    """

    patch: Size
    working_scale: float
    scale_jitter: float
    aspect_jitter: float
    min_box_coverage: float


def uniform(low: float, high: float, generator: Generator) -> float:
    """Return one random number from an interval."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def chance(probability: float, generator: Generator) -> bool:
    """Return True with the given probability."""
    return float(torch.rand((), generator=generator)) < probability


def random_flips(generator: Generator) -> Flips:
    """Return each flip with probability one half."""
    return Flips(chance(0.5, generator), chance(0.5, generator))


def random_crop(size: Size, boxes_xyxy: Tensor, rule: CropRule, generator: Generator) -> CropBox:
    """Return a crop that contains enough of some box, or the top-left patch if a hundred trials find none.

    All trials are drawn at once and the first that suits is taken.
    """
    aspect, jitter, scale = rule.patch.w / rule.patch.h, rule.aspect_jitter, rule.working_scale
    draws = torch.rand((4, CROP_TRIALS), generator=generator, dtype=torch.float64)
    aspects = aspect * (jitter + (1 / jitter - jitter) * draws[0])
    scales = scale * (rule.scale_jitter + (1 / rule.scale_jitter - rule.scale_jitter) * draws[1])
    width_exact = (rule.patch.w / scales).clamp(max=size.w)
    widths = width_exact.floor().clamp(min=1)
    heights = (width_exact / aspects).clamp(max=size.h).floor().clamp(min=1)
    lefts, tops = (draws[2] * (size.w - widths)).floor(), (draws[3] * (size.h - heights)).floor()
    crops = torch.stack([lefts, tops, lefts + widths, tops + heights], dim=1)
    if len(boxes_xyxy) == 0:
        return CropBox(*map(int, crops[0].tolist()))
    covered = coverage(boxes_xyxy.double(), crops) >= rule.min_box_coverage
    suits = covered.any(dim=0).nonzero()
    if len(suits):
        return CropBox(*map(int, crops[suits[0, 0]].tolist()))
    return CropBox(0, 0, max(min(int(rule.patch.w / scale), size.w), 1), max(min(int(rule.patch.h / scale), size.h), 1))


def mined_crop(crop_xyxy: Tensor) -> CropBox:
    """Return a mined crop (4 numbers) in whole pixels; a rounding error does not move an edge that is whole."""
    return CropBox(*(int(v) for v in (crop_xyxy.double() + 1e-3).floor().tolist()))


def coverage(boxes_N4: Tensor, crops_M4: Tensor) -> Tensor:
    """Return the share of every box that lies in every crop, N x M."""
    intersection_NM: Tensor = box_intersection(boxes_N4, crops_M4)
    area_N: Tensor = box_area(boxes_N4)
    return intersection_NM / area_N[:, None]


def crop_boxes(boxes: BoxList, crop: CropBox) -> BoxList:
    """Return the boxes in the frame of the crop, not clipped; fields ``labels`` and ``difficult`` tell what is left.

    A box of which the crop shows less than 0.3 gets the label ``CUT_OFF``; one with less than 0.7 is difficult.
    """
    shown = coverage(boxes.boxes_xyxy, boxes.boxes_xyxy.new_tensor([crop]))[:, 0]
    labels = torch.where(shown < CUT_OFF_BELOW, CUT_OFF, boxes.field("labels"))
    difficult = boxes.field("difficult") | (shown < DIFFICULT_BELOW)
    moved = boxes.with_boxes(BoxTransform.crop(crop.left, crop.top).apply(boxes.boxes_xyxy), crop.size)
    return moved.with_field("labels", labels).with_field("difficult", difficult)


def random_filter(generator: Generator) -> Image.Resampling:
    """Return one of the ways Pillow can resize."""
    return FILTERS[int(torch.randint(len(FILTERS), (), generator=generator))]


@dataclass(frozen=True)
class Colours:
    """A change of colours; a factor that is None leaves its property alone."""

    brightness: float | None
    contrast: float | None
    saturation: float | None
    hue: float | None
    contrast_first: bool

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the changed image."""
        if self.brightness is not None:
            image = colour.adjust_brightness(image, self.brightness)
        if self.contrast_first and self.contrast is not None:
            image = colour.adjust_contrast(image, self.contrast)
        if self.saturation is not None:
            image = colour.adjust_saturation(image, self.saturation)
        if self.hue is not None:
            image = colour.adjust_hue(image, self.hue)
        if not self.contrast_first and self.contrast is not None:
            image = colour.adjust_contrast(image, self.contrast)
        return image


def random_colours(generator: Generator) -> Colours:
    """Return a random change of brightness, contrast, saturation and hue, each changed half of the time."""
    brightness = _half_of_the_time(1 - BRIGHTNESS, 1 + BRIGHTNESS, generator)
    contrast_first = chance(0.5, generator)
    contrast = _half_of_the_time(1 - CONTRAST, 1 + CONTRAST, generator) if contrast_first else None
    saturation = _half_of_the_time(1 - SATURATION, 1 + SATURATION, generator)
    hue = _half_of_the_time(-HUE, HUE, generator)
    if not contrast_first:
        contrast = _half_of_the_time(1 - CONTRAST, 1 + CONTRAST, generator)
    return Colours(brightness, contrast, saturation, hue, contrast_first)


def _half_of_the_time(low: float, high: float, generator: Generator) -> float | None:
    return uniform(low, high, generator) if chance(0.5, generator) else None


def random_class_crop(
    image: Image.Image, scale_jitter: float, aspect_jitter: float, generator: Generator
) -> Image.Image:
    """Return a random part of a class image: sides between ``scale_jitter`` and 1 of its own, aspect jittered."""
    share = uniform(scale_jitter, 1.0, generator)
    stretch = uniform(aspect_jitter, 1 / aspect_jitter, generator) ** 0.5
    width = max(min(round(image.width * share * stretch), image.width), 1)
    height = max(min(round(image.height * share / stretch), image.height), 1)
    left = int(torch.randint(image.width - width + 1, (), generator=generator))
    top = int(torch.randint(image.height - height + 1, (), generator=generator))
    return image.crop((left, top, left + width, top + height))
