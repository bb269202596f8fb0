"""Parameters of the generated shelf data set, and the folder they lead to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

GENERATOR_VERSION = 2
"""Raise it with every change that draws other pixels or other boxes."""


@dataclass(frozen=True)
class ShelfParameters:
    """Size and difficulty of the data set; equal parameters draw equal files.

    Args:
        seed: of every random choice.
        train_classes: products of splits ``train`` and ``val-old-cl``.
        unseen_classes: products of split ``val-new-cl`` alone.
        flavours: classes that share package, colour and brand and differ in their print; 1: every class is a product.
        distractors: further flavours that stand on the shelves and belong to no class.
        train_images: images of split ``train``.
        val_images: images of each of the two validation splits.
        image_size: longer side of every image, in pixels.
        class_image_size: longer side of a class image, in pixels.
        objects: fewest and most annotated products in an image.
        product_px: smallest and largest ``sqrt(width * height)`` of an upright product, in pixels.
        lean_degrees: largest rotation of a product.
        illumination: strength of gain, gradient, gamma and colour cast; 0 is even white light.
        noise: standard deviation of the camera noise, in grey levels of 255.
    """

    seed: int = 0
    train_classes: int = 30
    unseen_classes: int = 12
    flavours: int = 1
    distractors: int = 24
    train_images: int = 60
    val_images: int = 20
    image_size: int = 320
    class_image_size: int = 112
    objects: tuple[int, int] = (5, 9)
    product_px: tuple[float, float] = (50.0, 80.0)
    lean_degrees: float = 15.0
    illumination: float = 1.2
    noise: float = 2.5


@lru_cache
def shelf_fingerprint(parameters: ShelfParameters) -> str:
    """Return the hash of everything that decides the drawn files, 64 hex digits."""
    description = {"generator": GENERATOR_VERSION, **asdict(parameters)}
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def shelf_folder(data_root: Path, parameters: ShelfParameters) -> Path:
    """Return the folder of the data set below the data root; it may not exist yet."""
    return data_root / f"shelf-{shelf_fingerprint(parameters)[:12]}"
