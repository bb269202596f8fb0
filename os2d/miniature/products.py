"""The things that the photos show: invented products, some for each data set, and their class images."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from os2d.data.shelf.design import Design, invent_design
from os2d.data.shelf.light import studio
from os2d.data.shelf.product import Product, draw_product

HEIGHT_PX = 112


def random_generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a source of random numbers for one purpose: what is drawn before or after does not change it."""
    return np.random.default_rng([seed, *(zlib.crc32(str(part).encode()) for part in purpose)])


def invent_products(count: int, seed: int, data_set: str, shapes: Sequence[str] = ()) -> list[Product]:
    """Return so many products that no other data set shows; of certain shapes, in turns, if any are given."""
    return [draw_product(_design(seed, data_set, number, shapes), HEIGHT_PX) for number in range(count)]


def _design(seed: int, data_set: str, number: int, shapes: Sequence[str]) -> Design:
    rng = random_generator(seed, data_set, "design", number)
    while True:
        design = invent_design(rng)
        if not shapes or design.shape == shapes[number % len(shapes)]:
            return design


def class_image(product: Product, size_px: int, rng: np.random.Generator) -> Image.Image:
    """Return the picture of a catalogue: the product on a light page, its longer side ``size_px``."""
    factor = size_px / max(product.picture.size)
    size = (round(product.picture.width * factor), round(product.picture.height * factor))
    page = Image.new("RGB", size, (238, 238, 236))
    picture = studio(product.picture, rng).resize(size, Image.Resampling.LANCZOS)
    page.paste(picture, (0, 0), product.mask.resize(size, Image.Resampling.LANCZOS))
    return page
