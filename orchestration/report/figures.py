"""Line figures as SVG text: small, sharp in print, in the page's colours by light and by dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

import numpy as np
from numpy.typing import NDArray

from orchestration.report.axes import Scale, scale_of, tick_text

Curve = Mapping[int, float]
Floats = NDArray[np.float64]

WIDTH, HEIGHT = 360.0, 215.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 8.0, 8.0, 36.0

MOST_POINTS, ALL_POINTS = 300, 4000
"""Of one line, and of all lines of a figure: longer curves are thinned out."""

DOTTED_BELOW, DOTTED_LINES = 40, 12
"""Points of shorter curves are marked, each with its numbers for whoever points at it, unless there are more lines."""

PALETTE = (
    *("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6"),
    *("#06b6d4", "#d946ef", "#84cc16", "#f97316", "#94a3b8"),
)
DASHES = ("", "7 4", "2 3", "9 3 2 3")


@dataclass(frozen=True)
class Look:
    """How a line is drawn, here and in legends."""

    colour: str
    dash: str = ""

    @property
    def attributes(self) -> str:
        """The look as attributes of an SVG element."""
        return f'stroke="{self.colour}"' + (f' stroke-dasharray="{self.dash}"' if self.dash else "")


@dataclass(frozen=True)
class Line:
    """One line of a figure: the mean of ``curves``, one per seed, with a band of one sample standard deviation."""

    label: str
    look: Look
    curves: Sequence[Curve]


def looks_of(labels: Sequence[str]) -> dict[str, Look]:
    """Return a look for each label: ten colours, then the same ones dashed."""
    count = len(PALETTE)
    return {label: Look(PALETTE[i % count], DASHES[i // count % len(DASHES)]) for i, label in enumerate(labels)}


def legend_sample(look: Look) -> str:
    """Return a short piece of a line, for legends."""
    return f'<svg class="sample" viewBox="0 0 26 8" aria-hidden="true"><path d="M1 4H25" {look.attributes}/></svg>'


def curves_svg(lines: Sequence[Line], title: str = "") -> str:
    """Return one metric over steps as an ``<svg>`` element."""
    most = max(20, min(MOST_POINTS, ALL_POINTS // max(1, len(lines))))
    bands = [(line, _band(line.curves, most)) for line in lines]
    every_step = (step for _, band in bands for step in band[0])
    x = replace(scale_of(every_step, LEFT, WIDTH - RIGHT, log_from=math.inf, margin=0.02), is_whole=True)
    edges = [value for _, (_, mean, std) in bands for value in (*(mean - _zeros(std)), *(mean + _zeros(std)))]
    y = scale_of([*edges, *(v for _, (_, mean, _) in bands for v in mean)], HEIGHT - BOTTOM, TOP)
    parts = [frame(x, y, "step")]
    for line, (steps, mean, std) in bands:
        parts.append(_drawn(line, steps, mean, std, x, y))
        if len(steps) < DOTTED_BELOW and len(lines) <= DOTTED_LINES:
            parts.append(_dots(line, steps, mean, std, x, y))
    return svg(parts, WIDTH, HEIGHT, title)


def svg(parts: Sequence[str], width: float, height: float, title: str) -> str:
    """Return a figure that fills the width it is given."""
    named = f' role="img" aria-label="{escape(title)}"' if title else ' aria-hidden="true"'
    return f'<svg viewBox="0 0 {width:g} {height:g}"{named}>{"".join(parts)}</svg>'


def frame(x: Scale, y: Scale, x_label: str, y_label: str = "") -> str:
    """Return the axes of a figure with their grid."""
    parts = []
    for value in y.ticks():
        place = f"{y(value):.1f}"
        parts.append(f'<path class="grid" d="M{LEFT:g} {place}H{WIDTH - RIGHT:g}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 6:g}" y="{place}" dy=".32em" text-anchor="end">{tick_text(value)}</text>'
        )
    bottom = HEIGHT - BOTTOM
    for value in x.ticks():
        place = f"{x(value):.1f}"
        parts.append(f'<path class="grid" d="M{place} {TOP:g}V{bottom:g}"/>')
        parts.append(
            f'<text class="tick" x="{place}" y="{bottom + 14:g}" text-anchor="middle">{tick_text(value)}</text>'
        )
    parts.append(f'<path class="axis" d="M{LEFT:g} {TOP:g}V{bottom:g}H{WIDTH - RIGHT:g}"/>')
    centre = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="label" x="{centre:g}" y="{HEIGHT - 6:g}" text-anchor="middle">{x_label}</text>')
    if y_label:
        turned = f"translate(11 {(TOP + bottom) / 2:g}) rotate(-90)"
        parts.append(f'<text class="label" transform="{turned}" text-anchor="middle">{y_label}</text>')
    return "".join(parts)


def path_of(xs: Sequence[float], ys: Sequence[float]) -> str:
    """Return the ``d`` of a line through places; it is interrupted where one is no number."""
    parts, pen_down = [], False
    for px, py in zip(xs, ys, strict=True):
        if not math.isfinite(py):
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down else 'M'}{px:.1f} {py:.1f}")
        pen_down = True
    return "".join(parts)


def _drawn(line: Line, steps: Floats, mean: Floats, std: Floats, x: Scale, y: Scale) -> str:
    xs = [x(step) for step in steps]
    parts = [f"<g><title>{escape(line.label)}</title>"]
    banded = [k for k in range(len(steps)) if math.isfinite(std[k]) and math.isfinite(mean[k])]
    if banded:
        lowest = y.low
        above = [f"{xs[k]:.1f} {y(mean[k] + std[k]):.1f}" for k in banded]
        below = [f"{xs[k]:.1f} {y(max(mean[k] - std[k], lowest)):.1f}" for k in reversed(banded)]
        parts.append(f'<path class="band" fill="{line.look.colour}" d="M{"L".join([*above, *below])}Z"/>')
    parts.append(f'<path class="line" {line.look.attributes} d="{path_of(xs, [_at(y, value) for value in mean])}"/>')
    return "".join([*parts, "</g>"])


def _dots(line: Line, steps: Floats, mean: Floats, std: Floats, x: Scale, y: Scale) -> str:
    parts = []
    for step, value, spread in zip(steps, mean, std, strict=True):
        if math.isfinite(value):
            around = f" ± {spread:.3g}" if math.isfinite(spread) else ""
            told = escape(f"{line.label}, step {step:g}: {value:.4g}{around}")
            place = f'cx="{x(step):.1f}" cy="{y(value):.1f}"'
            parts.append(f'<circle fill="{line.look.colour}" {place} r="2.2"><title>{told}</title></circle>')
    return "".join(parts)


def _at(scale: Scale, value: float) -> float:
    return scale(value) if math.isfinite(value) else math.nan


def _zeros(std: Floats) -> Floats:
    return np.where(np.isfinite(std), std, 0.0)


def _band(curves: Sequence[Curve], most: int) -> tuple[Floats, Floats, Floats]:
    """Return steps, mean and sample standard deviation (NaN below two seeds), in at most so many bins of steps."""
    steps = np.array(sorted({step for curve in curves for step in curve}))
    values_SK = np.array([[curve.get(int(step), np.nan) for step in steps] for curve in curves], dtype=float)
    values_SK[~np.isfinite(values_SK)] = np.nan
    bins = np.array_split(np.arange(len(steps)), min(len(steps), most))
    binned_SK = np.stack([_mean_of_numbers(values_SK[:, part]) for part in bins], axis=1)
    count_K = np.isfinite(binned_SK).sum(axis=0)
    mean_K = _mean_of_numbers(binned_SK.T)
    squares_K = np.nansum((binned_SK - mean_K) ** 2, axis=0)
    std_K = np.where(count_K > 1, np.sqrt(squares_K / np.maximum(count_K - 1, 1)), np.nan)
    return np.array([steps[part].mean() for part in bins]), mean_K, std_K


def _mean_of_numbers(values: Floats) -> Floats:
    """Return the mean of the last axis over what is not NaN; NaN where nothing is left."""
    count = np.isfinite(values).sum(axis=-1)
    return np.where(count > 0, np.nansum(values, axis=-1) / np.maximum(count, 1), np.nan)
