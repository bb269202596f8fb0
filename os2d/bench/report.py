"""The result of a run: for programs, for a terminal and for a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from os2d.bench.differences import Difference
from os2d.bench.gpu import GpuFacts
from os2d.bench.machine import Machine
from os2d.bench.measure import StageResult, Timing
from os2d.bench.peaks import Peaks
from os2d.bench.settings import Settings

SCHEMA = 1
"""Raised when a name in the JSON changes its meaning."""

COLUMNS = ("stage", "per", "median", "min", "CPU", "memory", "speed", "of peak")
COMPARED_COLUMNS = ("stage", "per", "original", "min", "CPU", "memory", "times faster", "by min", "by CPU")


@dataclass(frozen=True)
class Report:
    """Everything that one run found; without the published program there are no differences."""

    machine: Machine
    settings: Settings
    peaks: Peaks
    stages: Sequence[StageResult]
    differences: Sequence[Difference]
    gpu: GpuFacts | None

    def share_of_peak(self, result: StageResult) -> float | None:
        """Return the achieved part of the measured peak that bounds the stage: arithmetic, else memory traffic."""
        if result.gflops is not None:
            return result.gflops / self.peaks.gflops[self.settings.precision]
        return None if result.gbytes is None else result.gbytes / self.peaks.copy_gbytes

    def loading_share(self) -> float | None:
        """Return the time of a batch over the time of a step: above one the training waits for its data."""
        times = {r.name: r.ours.median_seconds for r in self.stages}
        if not {"data-loading", "training-step"} <= times.keys():
            return None
        return times["data-loading"] / times["training-step"]

    def as_json(self) -> dict[str, Any]:
        """Return plain values; times in seconds per unit, memory in MiB, speeds in billions per second."""
        return {
            "schema": SCHEMA,
            "machine": asdict(self.machine),
            "settings": {k: _plain(v) for k, v in asdict(self.settings).items()},
            "peaks": asdict(self.peaks),
            "stages": [self._stage(result) for result in self.stages],
            "loading_share": self.loading_share(),
            "differences": [{**asdict(d), "within": d.within} for d in self.differences],
            "gpu": asdict(self.gpu) if self.gpu else None,
        }

    def _stage(self, result: StageResult) -> dict[str, Any]:
        return {
            "name": result.name,
            "title": result.stage.title,
            "unit": result.stage.unit,
            "flops": result.work.flops or None,
            "bytes": result.work.bytes or None,
            "gflops": result.gflops,
            "gbytes": result.gbytes,
            "share_of_peak": self.share_of_peak(result),
            "ours": _timing(result.ours),
            "original": _timing(result.original) if result.original else None,
            "times_faster": result.times_faster(),
        }


def heading(report: Report) -> list[str]:
    """Return what one has to know before reading the times, a line each."""
    m, s, peaks = report.machine, report.settings, report.peaks
    speeds = ", ".join(f"{name} {speed:.0f} GFLOP/s" for name, speed in peaks.gflops.items())
    compared = any(result.original for result in report.stages)
    lines = [
        f"{m.device}, {m.cores} cores, {m.threads} threads, bf16 {m.bf16}",
        f"torch {m.torch}, Python {m.python}, commit {m.commit or 'unknown'}, load {m.load or 0:.1f}",
        f"peaks: arithmetic {speeds}; copy {peaks.copy_gbytes:.1f} GB/s",
        f"{s.backbone}, image {s.image_size.w}x{s.image_size.h}, {s.classes} classes, {s.precision}"
        f"{' (the original: fp32)' if compared and s.precision != 'fp32' else ''}, {s.repetitions} repetitions"
        f"{', quick' if s.quick else ''}",
    ]
    if (share := report.loading_share()) is not None:
        lines.append(f"data loading with {s.workers} workers takes {share:.0%} of the time of a training step")
    if report.gpu:
        waits = ", ".join(report.gpu.synchronisations) or "nowhere"
        lines.append(f"GPU busy {report.gpu.busy_share:.0%} of a training; the class loop waits for it: {waits}")
    return lines


@dataclass(frozen=True)
class TextTable:
    """Titles and cells; the first two columns are names, the others are numbers."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]


def text_tables(report: Report) -> list[TextTable]:
    """Return the times of our stages and, if it was measured, those of the published program."""
    tables = [TextTable(COLUMNS, [_row(report, result) for result in report.stages])]
    compared = [_compared_row(result, result.original) for result in report.stages if result.original]
    return [*tables, TextTable(COMPARED_COLUMNS, compared)] if compared else tables


def _row(report: Report, result: StageResult) -> list[str]:
    share, speed = report.share_of_peak(result), ""
    if result.gflops is not None:
        speed = f"{result.gflops:.0f} GFLOP/s"
    elif result.gbytes is not None:
        speed = f"{result.gbytes:.1f} GB/s"
    return [
        result.stage.title,
        result.stage.unit,
        *_cells(result.ours),
        speed,
        "" if share is None else f"{share:.0%}",
    ]


def _compared_row(result: StageResult, original: Timing) -> list[str]:
    faster = result.times_faster()
    ratios = [f"{faster[kind]:.2f}" if kind in faster else "" for kind in ("median", "min", "cpu")]
    return [result.stage.title, result.stage.unit, *_cells(original), *ratios]


def _cells(timing: Timing) -> list[str]:
    times = (timing.median_seconds, timing.min_seconds, timing.min_cpu_seconds)
    return [*map(_seconds, times), f"{timing.memory_mb:.0f} MB"]


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def as_rich_table(text: TextTable) -> Table:
    """Return a table for a terminal."""
    table = Table(box=None, pad_edge=False)
    for k, title in enumerate(text.titles):
        table.add_column(title, justify="left" if k < 2 else "right", no_wrap=True)
    for row in text.rows:
        table.add_row(*row)
    return table


def as_markdown_table(text: TextTable) -> str:
    """Return a table for a document."""
    lines = [text.titles, ["---"] * 2 + ["---:"] * (len(text.titles) - 2), *text.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def as_markdown(report: Report) -> str:
    """Return the conditions, the tables and the differences for a document."""
    blocks = ["\n".join(f"- {line}" for line in heading(report))]
    blocks += map(as_markdown_table, text_tables(report))
    if report.differences:
        blocks.append("\n".join(f"- {line}" for line in difference_lines(report.differences)))
    return "\n\n".join(blocks)


def difference_lines(differences: Sequence[Difference]) -> list[str]:
    """Return one line per comparison of something other than numbers, and one for all numbers of a stage."""
    lines = []
    for stage in dict.fromkeys(d.stage for d in differences):
        of_stage = [d for d in differences if d.stage == stage]
        worst = max(of_stage, key=lambda d: (not d.within, d.size / max(d.tolerance, 1e-30)))
        verdict = "same" if all(d.within for d in of_stage) else "DIFFERENT"
        lines.append(f"{stage}: {verdict} in {len(of_stage)} comparisons; furthest: {worst.what} ({worst.detail})")
    return lines


def _timing(timing: Timing) -> dict[str, Any]:
    return {
        "median_seconds": timing.median_seconds,
        "min_seconds": timing.min_seconds,
        "min_cpu_seconds": timing.min_cpu_seconds,
        "repetitions": len(timing.seconds),
        "seconds": list(timing.seconds),
        "cpu_seconds": list(timing.cpu_seconds),
        "memory_mb": timing.memory_mb,
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else str(value) if hasattr(value, "as_posix") else value
