"""Detections drawn into a picture."""

from __future__ import annotations

from collections.abc import Sequence
from colorsys import hsv_to_rgb

from PIL import Image, ImageDraw, ImageFont

from baselines.onenet.structures import Detections

GOLDEN_RATIO = 0.618034
"""Steps of this size around the colour circle keep any number of classes apart."""


def draw_detections(picture: Image.Image, detections: Detections, names: Sequence[str]) -> Image.Image:
    """Return the picture with boxes, names of classes and scores; the best are drawn last, on top."""
    drawn = picture.copy()
    pen = ImageDraw.Draw(drawn)
    longer = max(picture.size)
    font, width = ImageFont.load_default(size=max(10, longer / 60)), max(1, longer // 400)
    columns = (detections.boxes_N4, detections.scores_N, detections.classes_N)
    for box, score, number in reversed(list(zip(*(column.tolist() for column in columns), strict=True))):
        colour = _colour(number)
        pen.rectangle(box, outline=colour, width=width)
        text = f"{names[number]} {score:.0%}"
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        x = max(0, min(box[0], picture.width - right))
        y = box[1] - bottom if box[1] >= bottom else box[1]
        pen.rectangle((x + left, y + top, x + right, y + bottom), fill=colour)
        pen.text((x, y), text, fill="black", font=font)
    return drawn


def _colour(number: int) -> tuple[int, int, int]:
    """Return a light colour of a class, on which black letters can be read."""
    red, green, blue = hsv_to_rgb(number * GOLDEN_RATIO % 1, 0.65, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)
