"""What the retrieval network looks at: views of class images, and crops of an image.

Shapes: 3 colour channels, h x w pixels, N boxes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from os2d.choices import choose
from os2d.structures.sizes import Size, scaled_to_area

VIEWS: dict[str, tuple[tuple[int, bool], ...]] = {
    "": ((0, False),),
    "rotation90": ((0, False), (1, False), (2, False), (3, False)),
    "horflip": ((0, False), (0, True)),
}
"""``eval.class_image_augmentation`` -> views: quarter turns counter-clockwise, then mirrored or not."""


def resized_to_area(image_3hw: Tensor, side: int) -> Tensor:
    """Return an image of the same aspect ratio whose area is ``side`` squared: bilinear, without antialiasing."""
    size = scaled_to_area(Size.of_tensor(image_3hw), side)
    return interpolate(image_3hw[None], size=(size.h, size.w), mode="bilinear", align_corners=False)[0]


def views_of_class_image(image_3hw: Tensor, side: int, kind: str) -> list[Tensor]:
    """Return the views of a class image, each of the area ``side`` squared.

    Raises:
        ConfigError: there is no such kind of views.
    """
    resized = resized_to_area(image_3hw, side)
    wanted = choose("eval.class_image_augmentation", kind, VIEWS)
    turned = ((torch.rot90(resized, turns, (1, 2)), is_mirrored) for turns, is_mirrored in wanted)
    return [(view.flip(2) if is_mirrored else view).contiguous() for view, is_mirrored in turned]


def whole_corners(boxes_N4: Tensor, size: Size) -> list[tuple[int, int, int, int]]:
    """Return the boxes cut to whole pixels of the image; waits for the device once."""
    limits = boxes_N4.new_tensor([size.w, size.h, size.w, size.h])
    zero_N4 = torch.zeros_like(boxes_N4)
    corners_N4 = torch.minimum(torch.maximum(boxes_N4.trunc(), zero_N4), limits)
    return [tuple(corners) for corners in corners_N4.int().tolist()]


def cut_patches(
    image_3hw: Tensor, corners: Sequence[tuple[int, int, int, int]], side: int
) -> tuple[list[Tensor], list[int]]:
    """Return the crops of an image, each resized to the area ``side`` squared, and the numbers of their boxes.

    Boxes without a pixel are left out.
    """
    kept = [number for number, (left, top, right, bottom) in enumerate(corners) if left < right and top < bottom]
    crops = (corners[number] for number in kept)
    patches = [resized_to_area(image_3hw[:, top:bottom, left:right], side) for left, top, right, bottom in crops]
    return patches, kept
