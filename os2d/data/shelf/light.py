"""Turn a clean drawing into a photograph: uneven coloured light, gamma, vignette, blur and camera noise."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from os2d.data.shelf.parameters import ShelfParameters


def photograph(picture: Image.Image, parameters: ShelfParameters, rng: np.random.Generator) -> Image.Image:
    """Return the picture as a camera in a shop would see it."""
    strength = parameters.illumination
    blurred = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.0, 0.9) * strength))
    pixels = np.asarray(blurred, dtype=np.float32) / 255
    height, width, _ = pixels.shape
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    slope_x, slope_y = rng.uniform(-0.4, 0.4, size=2) * strength
    vignette = rng.uniform(0.0, 0.15) * strength * (x**2 + y**2)
    gain = 1 + rng.uniform(-0.4, 0.25) * strength
    light = gain * (1 + slope_x * x + slope_y * y) * (1 - vignette)
    cast = 1 + rng.uniform(-0.16, 0.16, size=3) * strength
    gamma = np.exp(rng.uniform(-0.35, 0.35) * strength)
    lit = np.clip(pixels * light[..., None] * cast, 0, 1) ** gamma
    noisy = lit * 255 + rng.normal(0, parameters.noise, size=lit.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def studio(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a product picture as a catalogue would print it: a little brighter or darker, warmer or colder."""
    cast = (1 + rng.uniform(-0.06, 0.1)) * (1 + rng.uniform(-0.03, 0.03, size=3))
    pixels = np.asarray(picture, dtype=np.float32) * cast
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
