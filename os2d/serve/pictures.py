"""Pictures from strangers: bytes -> RGB, or a reason why not, at bounded cost."""

from __future__ import annotations

import base64
import binascii
import warnings
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

from os2d.serve.refusal import RefusedError
from os2d.serve.settings import ServeSettings

FORMATS = ("JPEG", "PNG", "WEBP")
"""What Pillow may try; each reader is a way in."""

LONGEST_PER_SHORTEST = 40
"""A strip has an area like any picture, but once resized to the area the network wants it has sides like no other."""

SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")
"""Modes of grey PNG files whose values go up to 65535."""


@dataclass(frozen=True)
class PictureLimits:
    """The largest picture that is decoded."""

    pixels: int
    side_px: int

    @staticmethod
    def from_settings(settings: ServeSettings) -> PictureLimits:
        """Return the limits of a server."""
        return PictureLimits(int(settings.max_megapixels * 1e6), settings.max_side_px)


def decode_base64(text: str, field: str) -> bytes:
    """Return the bytes; line breaks and spaces are allowed, nothing else that is not base64.

    Raises:
        RefusedError: it is not base64.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as e:
        raise RefusedError("invalid_value", "expected the bytes of a picture in base64", field) from e


def decode_picture(data: bytes, limits: PictureLimits, field: str) -> Image.Image:
    """Return an RGB picture, upright as its EXIF orientation says; transparency is ignored.

    Its size is read from the header and judged before a pixel is decoded.

    Raises:
        RefusedError: it is of another type, too large, or damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes that our own limits judge
            picture = Image.open(BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as e:
        raise _too_large(limits, field) from e
    except UnidentifiedImageError as e:
        raise RefusedError("unsupported_image", "expected a JPEG, PNG or WebP picture", field) from e
    except Exception as e:  # readers raise whatever a damaged header makes them
        raise _damaged(field) from e
    with picture:
        _check_size(picture, limits, field)
        try:
            picture.load()
            return _to_rgb(_upright(picture))
        except Exception as e:  # so do decoders; nothing of ours runs in here
            raise _damaged(field) from e


def _check_size(picture: Image.Image, limits: PictureLimits, field: str) -> None:
    shorter, longer = sorted(picture.size)
    if longer > limits.side_px or shorter * longer > limits.pixels:
        raise _too_large(limits, field)
    if shorter < 1 or longer > LONGEST_PER_SHORTEST * shorter:
        message = f"expected a side at most {LONGEST_PER_SHORTEST} times as long as the other"
        raise RefusedError("invalid_value", f"{message}, got {picture.width} x {picture.height} pixels", field)


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return picture


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode in SIXTEEN_BIT:
        return picture.convert("I").point(lambda value: value / 257).convert("L").convert("RGB")
    return picture.convert("RGB")


def _too_large(limits: PictureLimits, field: str) -> RefusedError:
    most = f"at most {limits.pixels / 1e6:g} million pixels and {limits.side_px} pixels a side"
    return RefusedError("image_too_large", f"expected a picture of {most}; send a smaller one", field)


def _damaged(field: str) -> RefusedError:
    return RefusedError("damaged_image", "the picture is damaged or incomplete", field)
