"""A picture of a run: how long every stage takes, and how near it comes to the machine's peak."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from os2d.bench.report import Report, heading

OURS, ORIGINAL = "#2b6cb0", "#b8b8b8"
BAR = 0.38
DOTS_PER_INCH = 120


def save_plot(report: Report, path: Path) -> None:
    """Write the picture; the ending of the name decides the format."""
    names = [f"{result.stage.title}\nper {result.stage.unit}" for result in report.stages]
    figure = Figure(figsize=(11, 1.9 + 0.55 * len(names)), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    times, shares = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    _draw_times(times, report)
    _draw_shares(shares, report)
    times.set_yticks(range(len(names)), names)
    times.invert_yaxis()
    conditions = heading(report)
    figure.suptitle(f"{conditions[0]}\n{conditions[3]}", fontsize=9)
    figure.savefig(path)


def _draw_times(axes: Axes, report: Report) -> None:
    compared = any(result.original for result in report.stages)
    for k, result in enumerate(report.stages):
        shift = BAR / 2 if compared else 0.0
        _bar(axes, k - shift, result.ours.median_seconds, OURS, "this program" if k == 0 else None)
        if result.original:
            label = "original" if not any(r.original for r in report.stages[:k]) else None
            _bar(axes, k + shift, result.original.median_seconds, ORIGINAL, label)
    axes.set_xscale("log")
    axes.set_xlabel("seconds, median (logarithmic)")
    axes.margins(x=0.2)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    if compared:
        axes.legend(loc="lower right", fontsize=8)


def _bar(axes: Axes, position: float, seconds: float, colour: str, label: str | None) -> None:
    axes.barh(position, seconds, BAR, color=colour, label=label)
    text = f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
    axes.annotate(text, (seconds, position), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8)


def _draw_shares(axes: Axes, report: Report) -> None:
    for k, result in enumerate(report.stages):
        share = report.share_of_peak(result)
        if share is None:
            continue
        axes.barh(k, 100 * share, BAR, color=OURS)
        kind = "arithmetic" if result.gflops is not None else "copying"
        axes.annotate(
            f"{share:.0%} {kind}", (100 * share, k), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.axvline(100, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlim(0, max(170, axes.get_xlim()[1] * 1.8))
    axes.set_xlabel("% of the measured peak")
