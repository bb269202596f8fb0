"""A photograph of one or several products that stand freely before a wall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from os2d.data.shelf.light import photograph
from os2d.data.shelf.product import Product
from os2d.miniature.parameters import SHELVES

Box = tuple[int, int, int, int]
JPEG_QUALITY = 92


@dataclass(frozen=True)
class Photo:
    """A picture and the boxes of what it shows, left, top, right, bottom in pixels."""

    picture: Image.Image
    boxes_xyxy: list[Box]


def draw_photo(
    products: Sequence[Product], size_px: tuple[int, int], object_px: tuple[float, float], rng: np.random.Generator
) -> Photo:
    """Return a photo of products side by side.

    Args:
        products: what it shows, from left to right.
        size_px: its width and height.
        object_px: smallest and largest ``sqrt(width * height)`` of a single product; several are smaller.
        rng: of everything that is left open.
    """
    width, height = size_px
    wall = rng.uniform(60, 200, 3) * np.linspace(0.75, 1.1, height)[:, None, None]
    picture = Image.fromarray(np.broadcast_to(np.clip(wall, 0, 255), (height, width, 3)).astype(np.uint8))
    room = width // len(products)
    boxes = []
    for place, product in enumerate(products):
        side = rng.uniform(*object_px) / len(products) ** 0.3
        aspect = product.picture.height / product.picture.width
        size = (min(round(side / aspect**0.5), room), min(round(side * aspect**0.5), height))
        left = place * room + int(rng.integers(0, room - size[0] + 1))
        top = int(rng.integers(0, height - size[1] + 1))
        scaled = (product.picture.resize(size, Image.Resampling.LANCZOS), product.mask.resize(size))
        picture.paste(scaled[0], (left, top), scaled[1])
        boxes.append((left, top, left + size[0], top + size[1]))
    return Photo(photograph(picture, SHELVES, rng), boxes)


def save_photo(picture: Image.Image, file: Path) -> None:
    """Save a picture as published data sets do, in a folder that is made if need be."""
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file, format="JPEG", quality=JPEG_QUALITY)
