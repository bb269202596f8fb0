"""Values of every anchor as pictures: one cell of a map per anchor (H x W, the feature map)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image

from os2d.structures.sizes import Size
from os2d.visualization.panel import Placement, name_panel, show_image

DOTS_PER_INCH = 90
PANEL, TALLEST_PANEL = 2.5, 3.4
"""Width of a panel and its largest height, in inches."""

HEAD, TITLE, GAP, LEGEND = 0.36, 0.26, 0.1, 0.32
LARGEST_SIDE_PX = 320

TARGET_COLOURS = {"ignored": "#9a9a9a", "negative": "#2b2d5b", "positive": "#ffd92f"}
TARGET_SCALE = (ListedColormap(list(TARGET_COLOURS.values())), BoundaryNorm([-1.5, -0.5, 0.5, 1.5], 3))
"""Colours of the targets -1, 0 and 1."""


@dataclass(frozen=True)
class AnchorMap:
    """Values of the anchors of one class.

    Args:
        title: above the map.
        values: H x W; None: there are none, and the panel says so.
        limits: values of the darkest and the brightest colour; None: those of the map, told in its title.
        targets: the values are targets: 1 positive, 0 negative, -1 ignored.
    """

    title: str
    values: NDArray[np.float64] | None
    limits: tuple[float, float] | None = None
    targets: bool = False


@dataclass(frozen=True)
class HeatLevel:
    """One level of the image pyramid as a class sees it.

    Args:
        image: the level.
        stride: its pixels per anchor.
        targets: H x W.
        scores: H x W.
    """

    image: Image.Image
    stride: int
    targets: NDArray[np.float64]
    scores: NDArray[np.float64]


def class_heat_maps(title: str, levels: Sequence[HeatLevel]) -> Figure:
    """Return a figure with a row per level: targets, scores, scores over the image."""
    heights = [_panel_height(level.image.height / level.image.width) for level in levels]
    figure, place = _sheet(title, columns=3, heights=heights)
    top = HEAD
    for number, (level, height) in enumerate(zip(levels, heights, strict=True)):
        rows, columns = level.scores.shape
        axes = [place.axes(GAP + k * (PANEL + GAP), top + TITLE, PANEL, height) for k in range(3)]
        _draw_map(axes[0], AnchorMap(f"level {number}: targets", level.targets, targets=True), level)
        _draw_map(axes[1], AnchorMap(f"scores, {columns}×{rows}", level.scores), level)
        size = Size.of_image(level.image)
        small = level.image.resize(size.scaled(min(1.0, LARGEST_SIDE_PX / max(size))))
        show_image(axes[2], small, f"over the image, {size.w}×{size.h}")
        axes[2].images[0].set_extent((0, size.w, size.h, 0))
        axes[2].imshow(level.scores, extent=_extent(level), cmap="autumn", alpha=_opacity(level.scores))
        axes[2].set(xlim=(0, size.w), ylim=(size.h, 0))
        top += TITLE + height + GAP
    return figure


def anchor_map_panel(title: str, maps: Sequence[AnchorMap], columns: int) -> Figure:
    """Return a figure with one map beside the other, row by row."""
    shape = next(m.values.shape for m in maps if m.values is not None)
    heights = [_panel_height(shape[0] / shape[1])] * -(-len(maps) // columns)
    figure, place = _sheet(title, columns, heights)
    for number, anchor_map in enumerate(maps):
        row, column = divmod(number, columns)
        top = HEAD + row * (TITLE + heights[0] + GAP)
        axes = place.axes(GAP + column * (PANEL + GAP), top + TITLE, PANEL, heights[0])
        _draw_map(axes, anchor_map)
    return figure


def _sheet(title: str, columns: int, heights: Sequence[float]) -> tuple[Figure, Placement]:
    width = columns * (PANEL + GAP) + GAP
    height = HEAD + sum(heights) + len(heights) * (TITLE + GAP) + LEGEND
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH)
    figure.text(0.5, 1 - 0.12 / height, title, ha="center", va="top", fontsize=11)
    patches = [Patch(facecolor=colour, label=f"{name} anchor") for name, colour in TARGET_COLOURS.items()]
    figure.legend(handles=patches, loc="lower center", ncols=3, frameon=False, fontsize=8)
    return figure, Placement(figure, width, height)


def _panel_height(ratio: float) -> float:
    return min(PANEL * ratio, TALLEST_PANEL)


def _draw_map(axes: Axes, anchor_map: AnchorMap, level: HeatLevel | None = None) -> None:
    values = anchor_map.values
    if values is None:
        name_panel(axes, anchor_map.title, size=8.5)
        axes.text(0.5, 0.5, "none", ha="center", va="center", transform=axes.transAxes, color="gray")
        return
    extent = _extent(level) if level else None
    if anchor_map.targets:
        colours, norm = TARGET_SCALE
        axes.imshow(values, cmap=colours, norm=norm, extent=extent, interpolation="nearest")
        name_panel(axes, anchor_map.title, size=8.5)
    else:
        low, high = anchor_map.limits or (float(values.min()), float(values.max()))
        axes.imshow(values, cmap="viridis", vmin=low, vmax=high, extent=extent, interpolation="nearest")
        name_panel(axes, f"{anchor_map.title}: {values.min() + 0.0:.2g} to {values.max() + 0.0:.2g}", size=8.5)
    if level:
        axes.set(xlim=(0, level.image.width), ylim=(level.image.height, 0))


def _opacity(scores_HW: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much of the image the scores hide: nothing where they are lowest, most where they are highest."""
    spread = np.ptp(scores_HW)
    return 0.65 * (scores_HW - scores_HW.min()) / spread if spread > 0 else np.zeros_like(scores_HW)


def _extent(level: HeatLevel) -> tuple[float, float, float, float]:
    """Return the pixels of the level that its map covers."""
    rows, columns = level.scores.shape
    return 0.0, float(columns * level.stride), float(rows * level.stride), 0.0
