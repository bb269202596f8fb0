"""What decides the files of the miniature, and the folder they lead to.

Light on purpose (no torch).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from os2d.data.shelf.parameters import GENERATOR_VERSION as SHELF_VERSION
from os2d.data.shelf.parameters import ShelfParameters

GENERATOR_VERSION = 2
"""Raise it with every change that writes other files."""

SHELVES = ShelfParameters(
    image_size=224,
    class_image_size=96,
    objects=(5, 7),
    product_px=(46.0, 66.0),
    lean_degrees=8.0,
    illumination=0.7,
    noise=2.0,
)
"""How the photos of shelves in the retail sets are drawn; their other fields do not count."""

TEMPLATE_GRID, KERNEL_SIZES, CHANNELS = 7, [3, 3, 3], [32, 16]
"""Template cells per side of the small OS2D, and the layers of its TransformNet."""


@dataclass(frozen=True)
class MiniatureParameters:
    """Equal parameters write equal files.

    Args:
        seed: of every random choice.
        photo_size: width and height of the photos of INSTRE and ImageNet, in pixels.
        object_px: smallest and largest ``sqrt(width * height)`` of the object in a photo of one, in pixels.
        episodes: of RepMet.
    """

    seed: int = 0
    photo_size: tuple[int, int] = (128, 96)
    object_px: tuple[float, float] = (46.0, 62.0)
    episodes: int = 10


def miniature_folder(data_root: Path, parameters: MiniatureParameters) -> Path:
    """Return the folder of the miniature below the data root; it may not exist yet."""
    description = {"version": GENERATOR_VERSION, "shelves": [SHELF_VERSION, asdict(SHELVES)], **asdict(parameters)}
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()
    return data_root / f"miniature-{digest[:12]}"
