"""A whole run of OneNet's benchmark, and its result for programs and readers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import torch
from rich.console import Console
from yacs.config import CfgNode

from baselines.onenet.bench.stages import (
    AS_PUBLISHED,
    INFERENCE,
    MATCHING,
    TRAINING_STEP,
    Stage,
    Work,
    inference_stages,
    training_stages,
)
from baselines.onenet.engine.training_step import training_precision
from os2d.bench.clock import Sample, memory_peak_mb, time_call
from os2d.bench.machine import Machine, describe_machine
from os2d.bench.measure import Timing
from os2d.bench.peaks import Peaks, measure_peaks
from os2d.bench.report import TextTable
from os2d.modeling.precision import FORMATS
from os2d.structures.sizes import Size

SCHEMA = 1
"""Raised when a name in the JSON changes its meaning."""

COLUMNS = ("stage", "images", "median", "min", "CPU", "images/s", "memory", "speed", "of peak")


@dataclass(frozen=True)
class Result:
    """What one call of a stage took."""

    stage: Stage
    timing: Timing
    precision: str

    @property
    def gflops(self) -> float | None:
        """Billions of multiplications and additions per second, at the median."""
        return self.stage.flops / self.timing.median_seconds / 1e9 if self.stage.flops else None


@dataclass(frozen=True)
class Ratio:
    """One stage over another, by the shortest time and by the least processor time of each."""

    by_time: float
    by_cpu: float


@dataclass(frozen=True)
class Report:
    """Everything that one run found."""

    network: str
    image_size: Size
    machine: Machine
    peaks: Peaks
    results: Sequence[Result]

    def share_of_peak(self, result: Result) -> float | None:
        """Return the achieved part of the measured speed of matrix products."""
        return None if result.gflops is None else result.gflops / self.peaks.gflops[result.precision]

    def ratios(self) -> dict[str, Ratio]:
        """Return how times of one run compare, by their minima: the least disturbed by other work."""
        timings = {result.stage.name: result.timing for result in self.results}
        wanted = {
            "matching / training step": (MATCHING, TRAINING_STEP),
            "norms not folded, contiguous / inference": (AS_PUBLISHED, f"{INFERENCE}-1"),
        }
        return {
            name: Ratio(
                timings[above].min_seconds / timings[below].min_seconds,
                timings[above].min_cpu_seconds / timings[below].min_cpu_seconds,
            )
            for name, (above, below) in wanted.items()
            if above in timings and below in timings
        }

    def as_json(self) -> dict[str, Any]:
        """Return plain values; times in seconds per call, memory in MiB, speeds in billions per second."""
        return {
            "schema": SCHEMA,
            "network": self.network,
            "image_size": list(self.image_size),
            "machine": asdict(self.machine),
            "peaks": asdict(self.peaks),
            "ratios": {name: asdict(ratio) for name, ratio in self.ratios().items()},
            "stages": [
                {
                    "name": result.stage.name,
                    "title": result.stage.title,
                    "images": result.stage.images,
                    "precision": result.precision,
                    "flops": result.stage.flops or None,
                    "gflops": result.gflops,
                    "share_of_peak": self.share_of_peak(result),
                    "median_seconds": result.timing.median_seconds,
                    "min_seconds": result.timing.min_seconds,
                    "min_cpu_seconds": result.timing.min_cpu_seconds,
                    "images_per_second": result.stage.images / result.timing.median_seconds,
                    "memory_mb": result.timing.memory_mb,
                }
                for result in self.results
            ],
        }

    def heading(self) -> list[str]:
        """Return what one has to know before reading the times, a line each."""
        m = self.machine
        speeds = ", ".join(f"{name} {speed:.0f} GFLOP/s" for name, speed in self.peaks.gflops.items())
        return [
            f"{m.device}, {m.cores} cores, {m.threads} threads, bf16 {m.bf16}",
            f"torch {m.torch}, Python {m.python}, commit {m.commit or 'unknown'}, load {m.load or 0:.1f}",
            f"peaks: arithmetic {speeds}; copy {self.peaks.copy_gbytes:.1f} GB/s",
            f"{self.network}, image {self.image_size.w}x{self.image_size.h}",
            *(f"{name}: {r.by_time:.3g} by time, {r.by_cpu:.3g} by CPU" for name, r in self.ratios().items()),
        ]

    def table(self) -> TextTable:
        """Return a row per stage."""
        return TextTable(COLUMNS, [self._row(result) for result in self.results])

    def _row(self, result: Result) -> list[str]:
        t, share = result.timing, self.share_of_peak(result)
        return [
            result.stage.title,
            f"{result.stage.images} in {result.precision}",
            *(f"{1000 * seconds:.1f} ms" for seconds in (t.median_seconds, t.min_seconds, t.min_cpu_seconds)),
            f"{result.stage.images / t.median_seconds:.1f}",
            f"{t.memory_mb:.0f} MB",
            "" if result.gflops is None else f"{result.gflops:.0f} GFLOP/s",
            "" if share is None else f"{share:.0%}",
        ]


def run_benchmark(
    config: CfgNode,
    network: str,
    device: torch.device,
    image_size: Size,
    batches: list[int],
    training_batch: int,
    repetitions: int,
    progress: Console,
) -> Report:
    """Measure every stage once to warm up, while its memory is watched, and then repeatedly.

    Args:
        config: of the network, and of the precisions.
        network: its name, for the report.
        device: where.
        image_size: of every image.
        batches: sizes of the inferences.
        training_batch: images of a step of training; 0: training is not measured.
        repetitions: timed calls of every stage.
        progress: is told what is going on.
    """
    training = training_precision(config.SOLVER)
    formats = dict.fromkeys(("fp32", "bf16", config.TEST.PRECISION, training))
    with progress.status("measuring the machine") as status:
        peaks = measure_peaks(device, {name: FORMATS[name] for name in formats}, quick=repetitions < 3)
        work = Work(config, device, image_size, training)
        planned: Iterable[tuple[Stage, str]] = chain(
            ((stage, config.TEST.PRECISION) for stage in inference_stages(work, batches)),
            ((stage, training) for stage in (training_stages(work, training_batch) if training_batch else ())),
        )
        stages = [(stage, "fp32" if stage.name == AS_PUBLISHED else precision) for stage, precision in planned]
        timings = _timings([stage for stage, _ in stages], device, repetitions, status.update)
    results = [Result(stage, timing, precision) for (stage, precision), timing in zip(stages, timings, strict=True)]
    return Report(network, image_size, describe_machine(device), peaks, results)


def _timings(
    stages: Sequence[Stage], device: torch.device, repetitions: int, tell: Callable[[str], None]
) -> list[Timing]:
    """Return the times of the stages, which take turns: a machine whose speed changes is fair to all."""
    memory: list[float] = []
    samples: list[list[Sample]] = [[] for _ in stages]
    for stage in stages:
        tell(f"{stage.title}: once")
        memory.append(memory_peak_mb(stage.call, device))
    for turn in range(repetitions):
        for stage, of_stage in zip(stages, samples, strict=True):
            tell(f"{stage.title}: {turn + 1} of {repetitions}")
            of_stage.append(time_call(stage.call, device))
    return [
        Timing(tuple(s.seconds for s in of_stage), tuple(s.cpu_seconds for s in of_stage), peak)
        for of_stage, peak in zip(samples, memory, strict=True)
    ]
