"""One run: every stage in turn, ours and the published program alternately."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from os2d.bench.against import Original
from os2d.bench.case import Case
from os2d.bench.clock import Sample, memory_peak_mb, time_call
from os2d.bench.stages import STAGES, Prepared, Stage
from os2d.bench.work import Work
from os2d.errors import ConfigError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """Repetitions of a stage by one program, per unit.

    Attributes:
        seconds: of every repetition.
        cpu_seconds: the same, of all threads of the process.
        memory_mb: by how much a whole call lets memory grow.
    """

    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    memory_mb: float

    @property
    def median_seconds(self) -> float:
        """The time to expect."""
        return median(self.seconds)

    @property
    def min_seconds(self) -> float:
        """The time on an undisturbed machine."""
        return min(self.seconds)

    @property
    def min_cpu_seconds(self) -> float:
        """The work, whatever else the machine did."""
        return min(self.cpu_seconds)


@dataclass(frozen=True)
class StageResult:
    """What one stage took; ``work`` is that of one unit."""

    name: str
    stage: Stage
    work: Work
    ours: Timing
    original: Timing | None

    @property
    def gflops(self) -> float | None:
        """Billions of multiplications and additions per second, at the median."""
        return self.work.flops / self.ours.median_seconds / 1e9 if self.work.flops else None

    @property
    def gbytes(self) -> float | None:
        """Billions of bytes per second, at the median."""
        return self.work.bytes / self.ours.median_seconds / 1e9 if self.work.bytes else None

    def times_faster(self) -> dict[str, float]:
        """Return the time of the published program over ours; empty without it."""
        ours, original = self.ours, self.original
        if original is None:
            return {}
        ratios = {
            "median": original.median_seconds / ours.median_seconds,
            "min": original.min_seconds / ours.min_seconds,
        }
        # Worker processes and a GPU do work that this process is not charged for.
        if self.name != "data-loading" and ours.min_cpu_seconds > 0:
            ratios["cpu"] = original.min_cpu_seconds / ours.min_cpu_seconds
        return ratios


def chosen_stages(names: str) -> list[str]:
    """Return the stages of a comma-separated list, in the order of the benchmark; empty: all.

    Raises:
        ConfigError: a name that is none of them.
    """
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    for name in chosen:
        if name not in STAGES:
            raise ConfigError(f"--stages: no stage is named {name!r}; expected some of {', '.join(STAGES)}")
    return [name for name in STAGES if name in chosen or not chosen]


def measure(case: Case, stages: Sequence[str], original: Original | None) -> Iterator[StageResult]:
    """Yield the result of every stage as soon as it is known.

    Each program does the stage once to warm up, while its memory is watched; then they take turns.
    """
    for name in stages:
        logger.info("measuring %s", STAGES[name].title)
        stage, prepared = STAGES[name], STAGES[name].prepare(case)
        other = original if stage.in_original else None
        memory = memory_peak_mb(prepared.call, case.device)
        other_memory = other.memory_peak_mb(name) if other else 0.0
        ours: list[Sample] = []
        theirs: list[Sample] = []
        for _ in range(case.settings.repetitions):
            ours.append(time_call(prepared.call, case.device))
            if other:
                theirs.append(other.time(name))
        work = Work(prepared.work.flops // prepared.units, prepared.work.bytes // prepared.units)
        yield StageResult(
            name,
            stage,
            work,
            _per_unit(ours, memory, prepared),
            _per_unit(theirs, other_memory, prepared) if other else None,
        )


def _per_unit(samples: Sequence[Sample], memory_mb: float, prepared: Prepared) -> Timing:
    return Timing(
        tuple(s.seconds / prepared.units for s in samples),
        tuple(s.cpu_seconds / prepared.units for s in samples),
        memory_mb,
    )
