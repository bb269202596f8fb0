"""One image with boxes, anchors, aligned class images and captions on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from PIL import Image

from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size
from os2d.visualization.panel import (
    ANCHOR_COLOUR,
    Captions,
    Colour,
    Placement,
    draw_alignment,
    draw_box,
    show_image,
)

LONGER_SIDE, DOTS_PER_INCH = 8.5, 110
"""Of the drawn image, in inches, and the resolution of the file."""

TITLE, BORDER = 0.32, 0.06


@dataclass(frozen=True)
class Mark:
    """One thing on the image, in its pixels.

    Args:
        box_xyxy: the box.
        caption: written beside it.
        colour: of box and caption.
        anchor_xyxy: the anchor it came from.
        corners: of the aligned class image, 8 numbers.
        dotted: draw the box with dots.
    """

    box_xyxy: Sequence[float]
    caption: str
    colour: Colour = "yellow"
    anchor_xyxy: Sequence[float] | None = None
    corners: Sequence[float] | None = None
    dotted: bool = False


def annotated_image(title: str, image: Image.Image, marks: Sequence[Mark]) -> Figure:
    """Return the image with its marks; the first of them are drawn last, on top, and get the best places for captions.

    Small images are enlarged, so that captions are readable on training patches too.
    """
    scale = LONGER_SIDE / max(image.size)
    panel_width, panel_height = image.width * scale, image.height * scale
    width, height = panel_width + 2 * BORDER, panel_height + TITLE + BORDER
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH)
    axes = Placement(figure, width, height).axes(BORDER, TITLE, panel_width, panel_height)
    drawn = round(max(image.size) * scale * DOTS_PER_INCH)
    show_image(axes, _at_most(image, drawn), title, size=10)
    axes.images[0].set_extent((0, image.width, image.height, 0))
    axes.set(xlim=(0, image.width), ylim=(image.height, 0))
    for mark in reversed(marks):
        if mark.anchor_xyxy is not None:
            draw_box(axes, mark.anchor_xyxy, ANCHOR_COLOUR, width=1.0)
        draw_box(axes, mark.box_xyxy, mark.colour, linestyle=":" if mark.dotted else "-")
        if mark.corners is not None:
            draw_alignment(axes, mark.corners)
    captions = Captions(axes, Size.of_image(image), pixels_per_inch=1 / scale)
    for mark in marks:
        captions.write(mark.box_xyxy, mark.caption, mark.colour)
    return figure


def detection_marks(detections: BoxList) -> list[Mark]:
    """Return a mark per detection, with ``transform_corners`` and ``default_boxes`` where it has these fields."""
    nothing: list[None] = [None] * len(detections)
    anchors = detections.fields["default_boxes"].tolist() if "default_boxes" in detections.fields else nothing
    corners = detections.fields["transform_corners"].tolist() if "transform_corners" in detections.fields else nothing
    labels, scores = detections.field("labels").tolist(), detections.field("scores").tolist()
    return [
        Mark(box, f"Cl {label}: {score:.4f}", anchor_xyxy=anchor, corners=outline)
        for box, label, score, anchor, outline in zip(
            detections.boxes_xyxy.tolist(), labels, scores, anchors, corners, strict=True
        )
    ]


def ground_truth_marks(boxes: BoxList) -> list[Mark]:
    """Return a mark per box; labels are class ids, or -1 for classes the batch does not look for."""
    return [
        Mark(
            box,
            "other class" if label < 0 else f"Cl {label}" + " difficult" * difficult,
            colour="lightgray" if label < 0 else "yellow",
            dotted=difficult,
        )
        for box, label, difficult in zip(
            boxes.boxes_xyxy.tolist(), boxes.field("labels").tolist(), boxes.field("difficult").tolist(), strict=True
        )
    ]


def _at_most(image: Image.Image, longer_side: int) -> Image.Image:
    """Return the image no larger than it is drawn: matplotlib would resample all of its pixels."""
    size = Size.of_image(image).scaled(min(1.0, longer_side / max(image.size)))
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)
