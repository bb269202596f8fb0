"""Resizing as the published program does it: bilinear between the centres of pixels, without antialiasing.

Shapes: 3 colour channels, h x w pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from os2d.data.normalisation import IMAGENET_MEAN, IMAGENET_STD, to_tensor


def scaled_image(image: Image.Image, factor: float) -> Tensor:
    """Return normalised pixels (3, h, w) of an image whose sides are multiplied by a factor, and rounded."""
    pixels_13hw = to_tensor(image, IMAGENET_MEAN, IMAGENET_STD)[None]
    size = [max(round(side * factor), 1) for side in pixels_13hw.shape[2:]]
    # The factor itself, not the quotient of the rounded sizes, places the samples.
    scaled_13hw: Tensor = torch.ops.aten.upsample_bilinear2d(pixels_13hw, size, False, factor, factor)
    return scaled_13hw[0]


def query_image(image: Image.Image, size: int) -> Tensor:
    """Return the normalised pixels (3, size, size) of a class image in the middle of a black square."""
    return to_tensor(Image.fromarray(query_square(np.asarray(image), size)), IMAGENET_MEAN, IMAGENET_STD)


def query_square(pixels_hw3: np.ndarray, size: int) -> np.ndarray:
    """Return an image in the middle of a black square of so many pixels, uint8.

    Centres are whole pixels, so the last line of an odd longer side is lost; published networks saw it so.
    """
    side = max(pixels_hw3.shape[:2])
    canvas = np.zeros((side, side, 3), dtype=np.uint8)
    (top, bottom, y), (left, right, x) = (_middle(length, side) for length in pixels_hw3.shape[:2])
    canvas[y : y + bottom - top, x : x + right - left] = pixels_hw3[top:bottom, left:right]
    square = torch.from_numpy(canvas).permute(2, 0, 1)[None].float()
    resized = interpolate(square, size=(size, size), mode="bilinear", align_corners=False)
    return resized[0].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()


def _middle(length: int, side: int) -> tuple[int, int, int]:
    """Return from where to where a length is copied, and to where on a side of the square."""
    half, center = side // 2, length // 2
    start, stop = max(center - half, 0), min(center + half, length)
    return start, stop, half - (center - start)
