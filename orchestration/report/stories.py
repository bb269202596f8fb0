"""What the page knows: every trial with its results, grouped by experiment, and every file read once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from orchestration.attempt import Attempt, now_ms
from orchestration.describe import Sweep
from orchestration.plan import Plan
from orchestration.sweep_settings import sweeps_of
from orchestration.table_lines import setting_title
from orchestration.tables.sources import FolderResults, FolderSource
from orchestration.tracking.marks import marks_file, read_marks
from orchestration.tracking.pages import pages_of
from orchestration.tracking.store_location import StoreLocation
from orchestration.trial_description import Trial


@dataclass(frozen=True)
class TrialStory:
    """A trial as the page tells it.

    Args:
        trial: called as in the experiment of the chapter.
        results: None when it was never started.
        attempts: oldest first.
        folder: its folder, relative to the page.
        mlflow: the address of its run; empty where MLflow has none.
    """

    trial: Trial
    results: FolderResults | None
    attempts: Sequence[Attempt]
    folder: str
    mlflow: str = ""

    @property
    def anchor(self) -> str:
        """The name of the trial's place on the page."""
        return f"trial-{self.trial.short}"

    @property
    def setting(self) -> str:
        """What it is called apart from its seed."""
        return setting_title(self.trial)

    @property
    def state(self) -> str:
        """The state of the trial."""
        return self.results.state if self.results else "planned"

    @property
    def reason(self) -> str:
        """Why it has no result."""
        return self.results.reason if self.results else ""

    @property
    def curves(self) -> Mapping[str, Mapping[int, float]]:
        """Metric -> step -> value."""
        return self.results.curves if self.results else {}

    @property
    def metrics(self) -> dict[str, tuple[int, float]]:
        """Each metric with the last step it was logged at and the value there."""
        return {name: (max(curve), curve[max(curve)]) for name, curve in sorted(self.curves.items())}

    @property
    def artifacts(self) -> Path | None:
        """The folder of what it kept."""
        return self.results.folder.artifacts if self.results else None

    @property
    def provenance(self) -> Mapping[str, object]:
        """What the last attempt recorded."""
        return self.attempts[-1].provenance if self.attempts else {}

    @property
    def seconds(self) -> float:
        """How long all attempts took together; one that is under way counts until now."""
        return sum(map(_attempt_ms, self.attempts)) / 1000


@dataclass(frozen=True)
class Chapter:
    """An experiment as the page tells it; ``is_requested`` is false for one that others only need."""

    experiment: str
    is_requested: bool
    stories: tuple[TrialStory, ...]
    sweep: Sweep | None = None

    @cached_property
    def settings(self) -> dict[str, list[TrialStory]]:
        """Setting -> its trials, one per seed."""
        found: dict[str, list[TrialStory]] = {}
        for story in self.stories:
            found.setdefault(story.setting, []).append(story)
        return found

    @property
    def anchor(self) -> str:
        """The name of its place on the page."""
        return f"experiment-{self.experiment}"

    def label(self, setting: str) -> str:
        """Return what a setting is called beside those of other experiments."""
        return self.experiment if len(self.settings) == 1 else f"{self.experiment}: {setting}"


class KnownResults:
    """Trial folders as a table reads them, each read once however many tables ask."""

    def __init__(self, runs_root: Path) -> None:
        self._source = FolderSource(runs_root)
        self._found: dict[str, FolderResults | None] = {}

    def results(self, trials: Sequence[Trial]) -> dict[str, FolderResults]:
        """Return signature -> results for the trials that were started at least once."""
        news = [trial for trial in trials if trial.signature not in self._found]
        found = self._source.results(news)
        self._found |= {trial.signature: found.get(trial.signature) for trial in news}
        known = {trial.signature: self._found[trial.signature] for trial in trials}
        return {signature: results for signature, results in known.items() if results is not None}

    def address(self, signatures: Iterable[str]) -> str:
        """Return nothing: on the page, a cell leads to its trials."""
        return ""


def chapters_of(
    plan: Plan, known: KnownResults, runs_root: Path, page_folder: Path, tracking_uri: str | None
) -> list[Chapter]:
    """Return the requested experiments in the order of the file, then those that they need."""
    found = known.results(plan.trials)
    runs = _mlflow_runs(runs_root, tracking_uri)
    sweeps = {sweep.name: sweep for sweep in sweeps_of(plan.experiments)}
    trials = {trial.signature: trial for trial in plan.trials}
    requested: dict[str, list[TrialStory]] = {}
    needed: dict[str, list[TrialStory]] = {}
    for entry in plan.entries:
        trial = entry.called(trials[entry.signature])
        results = found.get(trial.signature)
        story = TrialStory(
            trial,
            results,
            results.folder.attempts() if results else (),
            os.path.relpath(runs_root / trial.signature, page_folder),
            runs.get(trial.signature, ""),
        )
        (requested if entry.requested else needed).setdefault(entry.experiment, []).append(story)
    return [
        *(Chapter(name, True, tuple(stories), sweeps.get(name)) for name, stories in requested.items()),
        *(Chapter(name, False, tuple(stories)) for name, stories in needed.items() if name not in requested),
    ]


def _mlflow_runs(runs_root: Path, tracking_uri: str | None) -> dict[str, str]:
    """Return signature -> address of the run, as the last sync left it; nothing is asked of the store."""
    location = StoreLocation.resolve(runs_root, tracking_uri)
    pages = pages_of(location)
    marks = read_marks(marks_file(runs_root, location.uri))
    return {signature: f"{pages}/#/runs/{mark.run_id}" for signature, mark in marks.items()}


def _attempt_ms(attempt: Attempt) -> int:
    ended_ms = attempt.ended_ms or (now_ms() if attempt.is_live() else attempt.started_ms)
    return max(0, ended_ms - attempt.started_ms)  # the clocks of two machines may disagree
