"""What was found, drawn into the picture itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from colorsys import hsv_to_rgb
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

from os2d.structures.detection import Detection

GOLDEN_RATIO = 0.618034
"""Steps of this size around the colour circle keep any number of classes apart."""

Colour: TypeAlias = tuple[int, int, int]


def colours_of(names: Sequence[str]) -> dict[str, Colour]:
    """Return a light colour per class, on which black letters can be read."""
    return {name: _colour(number) for number, name in enumerate(names)}


def draw_found(picture: Image.Image, found: Sequence[Detection], colours: Mapping[str, Colour]) -> Image.Image:
    """Return the picture with boxes, aligned parallelograms, names of classes and scores; the best are on top.

    Args:
        picture: RGB.
        found: best first, in pixels of the picture.
        colours: of every class that is found.
    """
    drawn = picture.copy()
    pen = ImageDraw.Draw(drawn)
    longer = max(picture.size)
    font, width = ImageFont.load_default(size=max(10, longer / 60)), max(1, longer // 400)
    for one in reversed(found):
        colour, box = colours[one.label], one.box_xyxy
        if one.corners:
            pen.line([*one.corners, one.corners[0]], fill=colour, width=width)
        pen.rectangle(box, outline=colour, width=width)
        text = f"{one.label} {one.score:.2f}"
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        x = max(0, min(box[0], picture.width - right))
        y = box[1] - bottom if box[1] >= bottom else box[1]
        pen.rectangle((x + left, y + top, x + right, y + bottom), fill=colour)
        pen.text((x, y), text, fill="black", font=font)
    return drawn


def _colour(number: int) -> Colour:
    red, green, blue = hsv_to_rgb(number * GOLDEN_RATIO % 1, 0.65, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)
