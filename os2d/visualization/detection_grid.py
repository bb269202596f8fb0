"""One figure that shows what was looked for and what was found in some images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from os2d.structures.affine import BoxTransform
from os2d.structures.boxes import BoxList, box_iou
from os2d.structures.sizes import Size
from os2d.visualization.marks import Mark, draw_marks
from os2d.visualization.panel import ALIGNMENT_COLOUR, GROUND_TRUTH_COLOUR, Placement, show_image

PANEL, CLASS_PANEL, TITLE, GAP, LEGEND = 4.9, 2.0, 0.24, 0.06, 0.32
"""Widths of an image and of the class images beside it, heights of a title and the legend, space between: inches."""

TALLEST_PANEL = 1.5
"""Height of an image panel over its width."""

DOTS_PER_INCH = 85
FONT_SIZE = 6.5
LARGEST_SIDE_PX = 600
"""Images are drawn at no more than this, so that the file stays small."""

CLASS_COLUMNS, CLASS_ROWS = 2, 3
FOUND_IOU = 0.5
PALETTE = [
    *(colour for k, colour in enumerate(colormaps["tab10"].colors) if k not in (3, 7, 8)),  # type: ignore[attr-defined]
    *colormaps["Dark2"].colors[:-1],  # type: ignore[attr-defined]
]
"""Colours of classes: not red, grey or yellow, which mean something else or nothing."""


@dataclass(frozen=True)
class GridRow:
    """One image of the figure.

    Args:
        title: shown above it.
        image: as loaded.
        ground_truth: field ``labels``, and ``difficult``.
        detections: fields ``labels``, ``scores`` and perhaps ``transform_corners``; only those to be drawn.
        class_images: class id -> its picture, the most interesting first.
    """

    title: str
    image: Image.Image
    ground_truth: BoxList
    detections: BoxList
    class_images: Mapping[int, Image.Image]


def detection_grid(rows: Sequence[GridRow]) -> Figure:
    """Return a figure with a row per image: ground truth, detections, class images.

    A detection is drawn in the colour of its class, solid where it covers a box of its class, dotted where it does not;
    the red parallelogram is the class image as the network aligned it.
    """
    colours = _colours(rows)
    heights = [PANEL * min(row.image.height / row.image.width, TALLEST_PANEL) for row in rows]
    width = 2 * PANEL + CLASS_PANEL + 4 * GAP
    height = sum(heights) + len(rows) * (TITLE + GAP) + LEGEND
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH)
    place = Placement(figure, width, height)
    top = 0.0
    for row, panel in zip(rows, heights, strict=True):
        small = _shrunk(row)
        _draw_ground_truth(place.axes(GAP, top + TITLE, PANEL, panel), small)
        _draw_detections(place.axes(2 * GAP + PANEL, top + TITLE, PANEL, panel), small, colours)
        _draw_class_images(place, 3 * GAP + 2 * PANEL, top, panel + TITLE, small, colours)
        top += TITLE + panel + GAP
    figure.legend(handles=_legend(), loc="lower center", ncols=4, frameon=False, fontsize=8.5)
    return figure


def _colours(rows: Sequence[GridRow]) -> dict[int, tuple[float, ...]]:
    """Return a colour per class, the same in every row."""
    classes = sorted({class_id for row in rows for class_id in row.class_images})
    return {class_id: PALETTE[k % len(PALETTE)] for k, class_id in enumerate(classes)}


def _draw_ground_truth(axes: Axes, row: GridRow) -> None:
    show_image(axes, row.image, f"{row.title}: ground truth")
    truth = row.ground_truth
    marks = [
        Mark(box, f"{label}", dotted=difficult)
        for box, label, difficult in zip(
            truth.boxes_xyxy.tolist(), truth.field("labels").tolist(), truth.field("difficult").tolist(), strict=True
        )
    ]
    draw_marks(axes, marks, Size.of_image(row.image), row.image.width / PANEL, FONT_SIZE)


def _draw_detections(axes: Axes, row: GridRow, colours: Mapping[int, tuple[float, ...]]) -> None:
    found = row.detections
    show_image(axes, row.image, f"{row.title}: {len(found)} best detections")
    nothing: list[None] = [None] * len(found)
    corners = found.field("transform_corners").tolist() if "transform_corners" in found.fields else nothing
    parts = (found.field("labels").tolist(), found.field("scores").tolist(), _hits(found, row.ground_truth), corners)
    marks = [
        Mark(box, f"{label}: {score:.2f}", colours[label], "white", corners=outline, dotted=not hit)
        for box, label, score, hit, outline in zip(found.boxes_xyxy.tolist(), *parts, strict=True)
    ]
    draw_marks(axes, marks, Size.of_image(row.image), row.image.width / PANEL, FONT_SIZE)


def _draw_class_images(
    place: Placement,
    left: float,
    top: float,
    height: float,
    row: GridRow,
    colours: Mapping[int, tuple[float, ...]],
) -> None:
    cell_width, cell_height = CLASS_PANEL / CLASS_COLUMNS, height / CLASS_ROWS
    for k, (class_id, image) in enumerate(list(row.class_images.items())[: CLASS_ROWS * CLASS_COLUMNS]):
        x, y = left + k % CLASS_COLUMNS * cell_width, top + k // CLASS_COLUMNS * cell_height
        axes = place.axes(x + GAP, y + TITLE, cell_width - 2 * GAP, cell_height - TITLE - GAP)
        show_image(axes, image, f"class {class_id}", size=7.5)
        for side in axes.spines.values():
            side.set(visible=True, edgecolor=colours[class_id], linewidth=2.5)


def _hits(found: BoxList, truth: BoxList) -> list[bool]:
    """Return which detections cover a box of their class."""
    same_class = found.field("labels")[:, None] == truth.field("labels")[None]
    overlap = box_iou(found.boxes_xyxy, truth.boxes_xyxy) >= FOUND_IOU
    hits: list[bool] = (same_class & overlap).any(dim=1).tolist()
    return hits


def _shrunk(row: GridRow) -> GridRow:
    """Return the row with an image no larger than it is drawn, and boxes to match."""
    full = Size.of_image(row.image)
    size = full.scaled(min(1.0, LARGEST_SIDE_PX / max(full)))
    image = row.image if size == full else row.image.resize(size, Image.Resampling.LANCZOS)
    found = row.detections.resized(size)
    if "transform_corners" in found.fields:
        corners = BoxTransform.between(row.detections.size, size).apply_corners(found.field("transform_corners"))
        found = found.with_field("transform_corners", corners)
    return GridRow(row.title, image, row.ground_truth.resized(size), found, row.class_images)


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], color=GROUND_TRUTH_COLOUR, label="ground truth (dotted: difficult)", linewidth=2),
        Line2D([], [], color=PALETTE[0], label="detection, colour of its class", linewidth=2),
        Line2D([], [], color=PALETTE[0], linestyle=":", label="misses every box of its class", linewidth=2),
        Line2D([], [], color=ALIGNMENT_COLOUR, label="aligned class image", linewidth=1),
    ]
