"""Pictures of classes, however a caller names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageOps

from os2d.data.images import read_image
from os2d.errors import DataError

Picture: TypeAlias = Image.Image | Path | str
"""A picture, or the file that holds it."""

ClassImages: TypeAlias = Mapping[str, Picture | Sequence[Picture]] | Sequence[Picture]
"""Name of a class -> its picture, or several views of it; or pictures that each make a class of their own."""


def as_picture(given: Picture) -> Image.Image:
    """Return an RGB picture; a file is shown the way its camera was held.

    Raises:
        DataError: the file cannot be read.
    """
    if isinstance(given, Image.Image):
        return given.convert("RGB")
    return read_upright(Path(given))


def read_upright(path: Path) -> Image.Image:
    """Return the RGB picture of a file, turned as its camera was held; raise as :func:`read_image` does."""
    picture = read_image(path)
    return ImageOps.exif_transpose(picture)


def views_by_name(given: ClassImages) -> dict[str, list[Image.Image]]:
    """Return name of a class -> its views.

    Pictures without a name are called as their file is, without its ending; those without a file by their position.

    Raises:
        DataError: a picture cannot be read, two have the same name, or there is none.
    """
    named = given if isinstance(given, Mapping) else _named(given)
    if not named:
        raise DataError("class images: expected at least one picture of a class, got none")
    views = {name: [as_picture(picture) for picture in _as_sequence(pictures)] for name, pictures in named.items()}
    empty = [name for name, pictures in views.items() if not pictures]
    if empty:
        raise DataError(f"class images: expected at least one picture of {empty[0]!r}, got none")
    return views


def name_of(picture: Picture, position: int) -> str:
    """Return what a class is called of which there is only this picture."""
    if isinstance(picture, Image.Image):
        file = getattr(picture, "filename", "")
        return Path(file).stem if file else str(position)
    return Path(picture).stem


def _named(pictures: Sequence[Picture]) -> dict[str, Picture]:
    if isinstance(pictures, str | Path | Image.Image):  # a string is a sequence too
        pictures = [pictures]
    named: dict[str, Picture] = {}
    for position, picture in enumerate(pictures):
        name = name_of(picture, position)
        if name in named:
            raise DataError(
                f"class images: two pictures are called {name!r}; give them names: a mapping from the name of a class "
                "to its picture, or to several views of it"
            )
        named[name] = picture
    return named


def _as_sequence(pictures: Picture | Sequence[Picture]) -> Sequence[Picture]:
    return [pictures] if isinstance(pictures, str | Path | Image.Image) else pictures
