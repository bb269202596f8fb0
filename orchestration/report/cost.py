"""What the trials took: time, cores, cards and their energy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean

from orchestration.journal import TrialFolder
from orchestration.journal_records import Sample
from orchestration.report.stories import Chapter, TrialStory
from orchestration.system_metrics import PREFIX, SAMPLE_SECONDS

POWER = "_power_usage_watts"
"""How the names of samples of a card's power end."""

LONGEST_GAP_SECONDS = 6 * SAMPLE_SECONDS
"""Longer than this without a sample, nothing is known of the power in between."""

MOST_BARS = 40
"""Of more settings, only the experiments have a bar each."""

_LOOK_BYTES = 16_384
_JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Cost:
    """What some trials took together, over all their attempts.

    Args:
        name: of the experiment.
        seconds: of each trial that was started.
        gpu_hours: cards that were reserved x time.
        cpu_hours: cores that were reserved x time.
        energy_kwh: of the cards; None where none of the trials measured it.
        measured: how many trials measured it.
    """

    name: str
    seconds: Sequence[float]
    gpu_hours: float
    cpu_hours: float
    energy_kwh: float | None
    measured: int


@dataclass(frozen=True)
class Bar:
    """The time per trial of a setting; ``shares`` are the mean, least and largest one of the longest on the page."""

    label: str
    seconds: Sequence[float]
    shares: tuple[float, float, float]


@dataclass(frozen=True)
class Costs:
    """The costs on a page: a line per experiment, all of it with each trial counted once, and the time per trial."""

    lines: Sequence[Cost]
    total: Cost
    bars: Sequence[Bar]


def costs_of(chapters: Sequence[Chapter]) -> Costs | None:
    """Return what was spent; None before anything was started."""
    energy = {
        story.trial.signature: energy_kwh(story.results.folder)
        for chapter in chapters
        for story in chapter.stories
        if story.results
    }
    lines = [line for c in chapters if (line := _cost(c.experiment, c.stories, energy)).seconds]
    if not lines:
        return None
    each_once = {story.trial.signature: story for chapter in chapters for story in chapter.stories}
    return Costs(lines, _cost("all, each trial once", each_once.values(), energy), _bars(chapters))


def energy_kwh(folder: TrialFolder) -> float | None:
    """Return the energy of the cards that a trial used, as far as their power was sampled; None if it never was."""
    if not _tells_power(folder.system_file):
        return None
    samples, _ = folder.samples_from(0)
    joules = sum(_joules(a, b) for a, b in pairwise(samples) if a.attempt == b.attempt)
    return joules / _JOULES_PER_KWH


def _tells_power(file: Path) -> bool:
    """Look at the first samples only: a trial of days has millions of numbers."""
    try:
        with file.open("rb") as opened:
            return POWER.encode() in opened.read(_LOOK_BYTES)
    except FileNotFoundError:
        return False


def _joules(before: Sample, after: Sample) -> float:
    seconds = (after.time_ms - before.time_ms) / 1000
    if not 0 < seconds <= LONGEST_GAP_SECONDS:
        return 0.0
    return seconds * (_watts(before.values) + _watts(after.values)) / 2


def _watts(values: Mapping[str, float]) -> float:
    return sum(value for name, value in values.items() if name.startswith(f"{PREFIX}gpu_") and name.endswith(POWER))


def _cost(name: str, stories: Iterable[TrialStory], energy: Mapping[str, float | None]) -> Cost:
    started = [story for story in stories if story.attempts]
    measured = [kwh for story in started if (kwh := energy.get(story.trial.signature)) is not None]
    resources = [(story.seconds / 3600, story.trial.resources) for story in started]
    return Cost(
        name=name,
        seconds=[story.seconds for story in started],
        gpu_hours=sum(hours * asked.gpus * asked.nodes for hours, asked in resources),
        cpu_hours=sum(hours * asked.cpus * asked.nodes for hours, asked in resources),
        energy_kwh=sum(measured) if measured else None,
        measured=len(measured),
    )


def _bars(chapters: Sequence[Chapter]) -> list[Bar]:
    several = len(chapters) > 1
    seconds = {
        chapter.label(setting) if several else setting: [story.seconds for story in stories if story.attempts]
        for chapter in chapters
        for setting, stories in chapter.settings.items()
    }
    if len(seconds) > MOST_BARS:
        seconds = {c.experiment: [story.seconds for story in c.stories if story.attempts] for c in chapters}
    known = {label: values for label, values in seconds.items() if values}
    longest = max((max(values) for values in known.values()), default=0.0) or 1.0
    return [
        Bar(label, values, (mean(values) / longest, min(values) / longest, max(values) / longest))
        for label, values in known.items()
    ]
