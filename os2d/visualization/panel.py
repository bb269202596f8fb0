"""A panel: an image, or the values of a feature map, with boxes, outlines and captions drawn on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from PIL import Image

from os2d.structures.boxes import CORNERS_AROUND
from os2d.structures.sizes import Size

Colour = str | tuple[float, ...]

GROUND_TRUTH_COLOUR, ANCHOR_COLOUR, ALIGNMENT_COLOUR = "yellow", "cyan", "red"

CHARACTER_WIDTH, LINE_HEIGHT = 0.62, 1.45
"""Of a caption, relative to its font size: what the default font takes, with the frame around it."""

POINTS_PER_INCH = 72


@dataclass(frozen=True)
class Placement:
    """Places panels by inches from the top-left corner; a layout engine would take seconds for so many."""

    figure: Figure
    width: float
    height: float

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Return new axes at a place."""
        bottom = self.height - top - height
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))


def show_image(axes: Axes, image: Image.Image, title: str, size: float = 9) -> None:
    """Show an image without ticks or frame; data coordinates are its pixels."""
    axes.imshow(np.asarray(image), extent=(0, image.width, image.height, 0))
    name_panel(axes, title, size)
    axes.set(xlim=(0, image.width), ylim=(image.height, 0))


def name_panel(axes: Axes, title: str, size: float = 9) -> None:
    """Give a panel its title and take ticks and frame away."""
    axes.set_title(title, fontsize=size, pad=3)
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_visible(False)


def draw_box(axes: Axes, box_xyxy: Sequence[float], colour: Colour, linestyle: str = "-", width: float = 1.8) -> None:
    """Draw a box."""
    x1, y1, x2, y2 = box_xyxy
    style = {"fill": False, "edgecolor": colour, "linewidth": width, "linestyle": linestyle}
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, **style))  # type: ignore[arg-type]


def draw_alignment(axes: Axes, corners: Sequence[float], width: float = 1.0) -> None:
    """Draw the outline of a class image as the network aligned it, from 4 corner points x, y."""
    points = np.asarray(corners, dtype=float).reshape(4, 2)[list(CORNERS_AROUND)]
    axes.add_patch(Polygon(points, fill=False, edgecolor=ALIGNMENT_COLOUR, linewidth=width, alpha=0.8))


@dataclass
class Captions:
    """Writes captions beside boxes, each where it covers none of those before it, if there is such a place.

    Args:
        axes: the panel.
        frame: size of its image; captions stay inside.
        pixels_per_inch: of the image as it is drawn.
        size: of the font, in points.
    """

    axes: Axes
    frame: Size
    pixels_per_inch: float
    size: float = 7.0
    _taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def write(self, box_xyxy: Sequence[float], text: str, colour: Colour, text_colour: Colour = "black") -> None:
        """Write a caption for a box."""
        point = self.pixels_per_inch / POINTS_PER_INCH
        width, height = CHARACTER_WIDTH * self.size * len(text) * point, LINE_HEIGHT * self.size * point
        places = [self._inside(x, y, width, height) for x, y in _places(box_xyxy, width, height)]
        place = min(places, key=lambda p: sum(_overlap(p, taken) for taken in self._taken))
        self._taken.append(place)
        frame = {"facecolor": colour, "edgecolor": "none", "pad": 1.0, "alpha": 0.85}
        style = {"fontsize": self.size, "color": text_colour, "va": "top", "ha": "left"}
        self.axes.text(place[0], place[1], text, bbox=frame, clip_on=True, **style)  # type: ignore[arg-type]

    def _inside(self, x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
        x = max(0.0, min(x, self.frame.w - width))
        y = max(0.0, min(y, self.frame.h - height))
        return x, y, x + width, y + height


def _places(box_xyxy: Sequence[float], width: float, height: float) -> list[tuple[float, float]]:
    """Return where the caption of a box may begin, the best place first."""
    x1, y1, x2, y2 = box_xyxy
    rows = [y1 - height, y1, y2 - height, y2, (y1 + y2 - height) / 2]
    return [(x, y) for y in rows for x in (x1, x2 - width)]


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)
