"""Boxes with their anchors, aligned class images and captions, drawn on an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size
from os2d.visualization.panel import (
    ANCHOR_COLOUR,
    GROUND_TRUTH_COLOUR,
    Captions,
    Colour,
    draw_alignment,
    draw_box,
)


@dataclass(frozen=True)
class Mark:
    """One thing on the image, in its pixels.

    Args:
        box_xyxy: the box.
        caption: written beside it.
        colour: of box and caption.
        text_colour: of the caption's letters.
        anchor_xyxy: the anchor it came from.
        corners: of the aligned class image, 8 numbers.
        dotted: draw the box with dots.
    """

    box_xyxy: Sequence[float]
    caption: str
    colour: Colour = GROUND_TRUTH_COLOUR
    text_colour: Colour = "black"
    anchor_xyxy: Sequence[float] | None = None
    corners: Sequence[float] | None = None
    dotted: bool = False


def draw_marks(axes: Axes, marks: Sequence[Mark], frame: Size, pixels_per_inch: float, font_size: float) -> None:
    """Draw marks on an image of the size ``frame``.

    The first of them are drawn last, on top, and their captions get the best places.
    """
    for mark in reversed(marks):
        if mark.corners is not None:
            draw_alignment(axes, mark.corners)
        if mark.anchor_xyxy is not None:
            draw_box(axes, mark.anchor_xyxy, ANCHOR_COLOUR, width=1.0)
    for mark in reversed(marks):
        draw_box(axes, mark.box_xyxy, mark.colour, linestyle=":" if mark.dotted else "-")
    captions = Captions(axes, frame, pixels_per_inch, font_size)
    for mark in marks:
        captions.write(mark.box_xyxy, mark.caption, mark.colour, mark.text_colour)


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
