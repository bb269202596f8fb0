"""One image with everything that was annotated or found in it."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from PIL import Image

from os2d.structures.sizes import Size
from os2d.visualization.marks import Mark, draw_marks
from os2d.visualization.panel import Placement, show_image

LONGER_SIDE, DOTS_PER_INCH = 8.5, 110
"""Of the drawn image, in inches, and the resolution of the file."""

TITLE, BORDER = 0.32, 0.06


def annotated_image(title: str, image: Image.Image, marks: Sequence[Mark]) -> Figure:
    """Return the image with its marks; small images are enlarged, so that captions are readable on them too."""
    scale = LONGER_SIDE / max(image.size)
    panel_width, panel_height = image.width * scale, image.height * scale
    width, height = panel_width + 2 * BORDER, panel_height + TITLE + BORDER
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH)
    axes = Placement(figure, width, height).axes(BORDER, TITLE, panel_width, panel_height)
    drawn = round(max(image.size) * scale * DOTS_PER_INCH)
    show_image(axes, _at_most(image, drawn), title, size=10)
    axes.images[0].set_extent((0, image.width, image.height, 0))
    axes.set(xlim=(0, image.width), ylim=(image.height, 0))
    draw_marks(axes, marks, Size.of_image(image), pixels_per_inch=1 / scale, font_size=8)
    return figure


def _at_most(image: Image.Image, longer_side: int) -> Image.Image:
    """Return the image no larger than it is drawn: matplotlib would resample all of its pixels."""
    size = Size.of_image(image).scaled(min(1.0, longer_side / max(image.size)))
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)
