"""Reading image files, and the sizes at which they are used.

Light on purpose (no torch).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from os2d.errors import DataError
from os2d.structures.sizes import Size, scaled_to_area

_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow's readers raise for files that are damaged in one way or another."""


def _nobody() -> str:
    return ""


def read_image(path: Path, named_by: Callable[[], str] = _nobody) -> Image.Image:
    """Return a decoded RGB image.

    Args:
        path: the file.
        named_by: tells where the file was named; asked only when the file cannot be read.

    Raises:
        DataError: the file is missing, is no image, is damaged or is suspiciously large.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except _DECODING_ERRORS as e:
        raise _unreadable(path, named_by(), e) from e


def read_image_size(path: Path, named_by: Callable[[], str] = _nobody) -> Size:
    """Return the size of an image from its header alone; raise as :func:`read_image` does."""
    try:
        with Image.open(path) as image:
            return Size.of_image(image)
    except _DECODING_ERRORS as e:
        raise _unreadable(path, named_by(), e) from e


def _unreadable(path: Path, named_by: str, error: Exception) -> DataError:
    origin = f" (named by {named_by})" if named_by else ""
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: no such image file{origin}")
    if isinstance(error, Image.DecompressionBombError):
        return DataError(f"{path}: has more pixels than is safe to decode{origin}: {error}; store a smaller image")
    if isinstance(error, UnidentifiedImageError):
        return DataError(f"{path}: is not an image that Pillow can read{origin}; replace the file")
    return DataError(f"{path}: cannot be decoded{origin}: {error}; the file is damaged or incomplete, replace it")


def loaded_size(stored: Size, nominal_size: int) -> Size:
    """Return the size at which an image is used: its own if its longer side is nominal, else of the nominal area.

    The published program resizes by the geometric mean of the sides here; its numbers depend on that.
    """
    return stored if max(stored) == nominal_size else scaled_to_area(stored, nominal_size)


def resize(image: Image.Image, size: Size, filter: Image.Resampling = Image.Resampling.BILINEAR) -> Image.Image:
    """Return the image at another size; bilinear is antialiased, as evaluation wants it."""
    return image if image.size == size else image.resize(size, filter)
