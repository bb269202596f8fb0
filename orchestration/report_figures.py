"""Learning curves as SVG text and pictures as data addresses: everything a page needs to stand alone."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

Curve = Mapping[int, float]

MOST_POINTS = 300
PICTURE_WIDTH_PX = 640

PALETTE = (
    *("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6"),
    *("#06b6d4", "#d946ef", "#84cc16", "#f97316", "#94a3b8"),
)

# Drawn in this colour, then replaced by the colour of the page's text, so that one figure suits light and dark.
_INK = "#010203"
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def curves_svg(curves_by_label: Mapping[str, Sequence[Curve]], colours: Mapping[str, str]) -> str:
    """Return one metric over steps as an ``<svg>`` element.

    Each label has one curve per seed: drawn is their mean, with a band of one sample standard deviation where at
    least two seeds have the step.
    """
    with style.context(_STYLE):
        figure = Figure(figsize=(5.0, 2.7), layout="constrained")
        axes = figure.add_subplot()
        for label, curves in curves_by_label.items():
            _draw(axes, curves, colours[label])
        axes.grid(color=_INK, alpha=0.12, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel("step")
        axes.margins(x=0.02)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(stream.getvalue())


def colours_of(labels: Sequence[str]) -> dict[str, str]:
    """Return a colour for each label; they repeat after ten."""
    return {label: PALETTE[i % len(PALETTE)] for i, label in enumerate(labels)}


def picture_address(path: Path, width_px: int = PICTURE_WIDTH_PX) -> str:
    """Return a picture as a ``data:`` address, reduced to at most ``width_px``."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if picture.width > width_px:
        height = max(1, round(picture.height * width_px / picture.width))
        picture = picture.resize((width_px, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, format="WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _draw(axes: Axes, curves: Sequence[Curve], colour: str) -> None:
    steps, mean, std = _band(curves)
    marker = "o" if len(steps) < 40 else None
    axes.plot(steps, mean, color=colour, linewidth=1.6, marker=marker, markersize=2.8)
    if np.isfinite(std).any():
        axes.fill_between(steps, mean - std, mean + std, color=colour, alpha=0.18, linewidth=0)


def _band(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return steps, mean and sample standard deviation (NaN below two seeds), in at most MOST_POINTS bins of steps."""
    steps = np.array(sorted({step for curve in curves for step in curve}))
    values_SK = np.array([[curve.get(int(step), np.nan) for step in steps] for curve in curves], dtype=float)
    values_SK[~np.isfinite(values_SK)] = np.nan
    bins = np.array_split(np.arange(len(steps)), min(len(steps), MOST_POINTS))
    binned_SK = np.stack([_mean_of_numbers(values_SK[:, part]) for part in bins], axis=1)
    count_K = np.isfinite(binned_SK).sum(axis=0)
    mean_K = _mean_of_numbers(binned_SK.T)
    squares_K = np.nansum((binned_SK - mean_K) ** 2, axis=0)
    std_K = np.where(count_K > 1, np.sqrt(squares_K / np.maximum(count_K - 1, 1)), np.nan)
    return np.array([steps[part].mean() for part in bins]), mean_K, std_K


def _mean_of_numbers(values: np.ndarray) -> np.ndarray:
    """Return the mean of the last axis over what is not NaN; NaN where nothing is left."""
    count = np.isfinite(values).sum(axis=-1)
    return np.where(count > 0, np.nansum(values, axis=-1) / np.maximum(count, 1), np.nan)


def _inline(document: str) -> str:
    element = document[document.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", element, flags=re.DOTALL)
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    return element.replace(_INK, "currentColor")
