"""Trial folders written into an MLflow store: one run per trial, under one parent run per experiment.

Whoever calls holds the writer's lock (:mod:`orchestration.tracking`). Runs are found again by the signature they carry
from the moment they exist, so that a writer may die at any point and the next one continues.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import yaml

from orchestration.attempt import Attempt, now_ms
from orchestration.errors import OrchestrationError
from orchestration.journal import Point, State, TrialFolder
from orchestration.metric_names import mlflow_names
from orchestration.mlflow_store import LONGEST_PARAM, MlflowStore, StoredPoint, StoredRun
from orchestration.runs import Runs
from orchestration.store_location import StoreError, StoreLocation
from orchestration.tracking_marks import Mark, marks_file, news_since, read_marks, write_marks
from orchestration.trial_record import (
    KIND,
    NOT_FINITE,
    RUN_STATUS,
    SIGNATURE,
    experiment_status,
    identity_tags,
    params_of,
    progress_tags,
)

logger = logging.getLogger(__name__)

LARGEST_ARTIFACT_BYTES = 50_000_000
"""Larger files stay in the trial's folder only, which the run names in a tag."""


@dataclass
class Written:
    """What one update wrote.

    Args:
        trials: looked at.
        created: runs.
        updated: runs that had news.
        points: metric values.
        problems: one line per trial that could not be written.
    """

    trials: int = 0
    created: int = 0
    updated: int = 0
    points: int = 0
    problems: list[str] = field(default_factory=list)


class _Look(NamedTuple):
    """A trial folder as one glance shows it: ``started_ms`` is None before the first attempt."""

    folder: TrialFolder
    state: State
    started_ms: int | None
    seen: tuple[str | int, ...]


class Projection:
    """The runs folder as it stands in one store."""

    def __init__(self, runs: Runs, location: StoreLocation) -> None:
        self._runs = runs
        self._location = location
        self._marks_file = marks_file(runs.root, location.uri)
        self._store: MlflowStore | None = None
        self._parents: dict[str, StoredRun] = {}
        self._run_ids: dict[str, str] = {}
        self._statuses: dict[str, str] = {}

    def update(self, experiments: Collection[str] | None = None) -> Written:
        """Write all news of the given experiments, or of all.

        Raises:
            StoreError: the store cannot be used; what was written until then stays, the rest is written next time.
        """
        written = Written()
        marks = read_marks(self._marks_file)
        before = dict(marks)
        try:
            for name, folders in self._by_experiment(experiments).items():
                self._update_experiment(name, folders, marks, written)
        finally:
            if marks != before:
                write_marks(self._marks_file, marks, self._location.uri)
        return written

    def _by_experiment(self, experiments: Collection[str] | None) -> dict[str, list[TrialFolder]]:
        """Return the trial folders by the experiment that asked first: a shared trial has one run, there."""
        also = {path for name in experiments or () for path in self._linked(name)}
        found: dict[str, list[TrialFolder]] = {}
        for folder in self._runs.folders():
            home = folder.trial.experiment
            if experiments is None or home in experiments or folder.path in also:
                found.setdefault(home, []).append(folder)
        return found

    def _linked(self, experiment: str) -> Iterable[Path]:
        by_name = self._runs.root / "by-name" / experiment
        return (link.resolve() for link in by_name.iterdir()) if by_name.is_dir() else ()

    def _update_experiment(
        self, name: str, folders: list[TrialFolder], marks: dict[str, Mark], written: Written
    ) -> None:
        written.trials += len(folders)
        looks = [_look(folder, marks.get(folder.signature)) for folder in folders]
        started = [look.started_ms for look in looks if look.started_ms is not None]
        if not started:
            return
        parent = self._parent(name, min(started))
        for look in looks:
            mark = marks.get(look.folder.signature)
            if look.started_ms is None or self._is_current(mark, look):
                continue
            try:
                run_id = self._run_id(name, look, parent, written)
                mark = mark if mark is not None and mark.run_id == run_id else Mark(run_id, look.started_ms)
                marks[look.folder.signature] = self._write(look, mark, written)
                written.updated += 1
            except OrchestrationError as error:
                self._judge(error, look.folder, written)
        status = experiment_status(look.state for look in looks)
        if self._statuses[parent.run_id] != status:
            self._set_status(parent.run_id, status, now_ms())

    def _is_current(self, mark: Mark | None, look: _Look) -> bool:
        """Tell whether the store has all of a trial; a store that lost the run, deleted or replaced, has not."""
        return mark is not None and mark.seen == look.seen and self._run_ids.get(look.folder.signature) == mark.run_id

    def _judge(self, error: OrchestrationError, folder: TrialFolder, written: Written) -> None:
        """Go on with the other trials when the fault is this trial's, not the store's."""
        if isinstance(error, StoreError) and self._location.problem() is not None:
            raise error
        self._run_ids.pop(folder.signature, None)
        written.problems.append(f"{folder.trial.experiment}/{folder.trial.name}: {error}")

    def _write(self, look: _Look, mark: Mark, written: Written) -> Mark:
        store, folder = self._opened(), look.folder
        attempts = folder.attempts()
        mark, points = news_since(mark, folder)
        stored_names = mlflow_names(mark.names)
        written.points += store.log_points(mark.run_id, (_stored(point, stored_names) for point in points))
        tags = progress_tags(folder, look.state, attempts)
        if mark.not_finite:
            tags[NOT_FINITE] = ", ".join(mark.not_finite)
        store.set_tags(mark.run_id, tags)
        if not mark.described:
            self._describe(folder, mark.run_id)
        if look.state is State.DONE:
            self._keep_artifacts(folder, attempts, mark.run_id)
        self._set_status(mark.run_id, RUN_STATUS[look.state], _ended_ms(folder, attempts))
        return replace(mark, described=True, seen=look.seen)

    def _describe(self, folder: TrialFolder, run_id: str) -> None:
        store = self._opened()
        config = folder.trial.config
        store.log_text(run_id, yaml.safe_dump(config, sort_keys=False, allow_unicode=True), "config.yaml")
        known = store.run(run_id).params
        params = {key: value for key, value in params_of(config).items() if key not in known}
        store.log_params(run_id, {key: value for key, value in params.items() if len(value) <= LONGEST_PARAM})
        for key, value in params.items():
            if len(value) > LONGEST_PARAM:
                store.log_text(run_id, value, f"params/{key}.txt")

    def _keep_artifacts(self, folder: TrialFolder, attempts: list[Attempt], run_id: str) -> None:
        store = self._opened()
        provenance = [{"attempt": attempt.number, **attempt.provenance} for attempt in attempts]
        store.log_text(run_id, json.dumps(provenance, indent=1, default=str), "provenance.json")
        if (attempts[-1].folder / "diff.patch").exists():
            store.log_file(run_id, attempts[-1].folder / "diff.patch", None)
        for file in sorted(path for path in folder.artifacts.rglob("*") if path.is_file()):
            if file.stat().st_size <= LARGEST_ARTIFACT_BYTES:
                inside = file.parent.relative_to(folder.artifacts).as_posix()
                store.log_file(run_id, file, None if inside == "." else inside)

    def _set_status(self, run_id: str, status: str, ended_ms: int) -> None:
        if status != "RUNNING":
            self._opened().terminate(run_id, status, ended_ms)
        elif self._statuses.get(run_id) != "RUNNING":
            self._opened().reopen(run_id)
        self._statuses[run_id] = status

    def _opened(self) -> MlflowStore:
        if self._store is None:
            self._store = MlflowStore(self._location)
        return self._store

    def _run_id(self, experiment: str, look: _Look, parent: StoredRun, written: Written) -> str:
        """Return the run of a trial, found or created."""
        signature = look.folder.signature
        if signature not in self._run_ids:
            elsewhere = self._opened().runs({SIGNATURE: signature})
            if elsewhere:
                self._know(elsewhere)
            else:
                trial = look.folder.trial
                tags = {**identity_tags(trial), "mlflow.parentRunId": parent.run_id}
                run_id = self._opened().create_run(parent.experiment_id, trial.name, tags, look.started_ms or now_ms())
                self._run_ids[signature] = run_id
                self._statuses[run_id] = "RUNNING"
                written.created += 1
        return self._run_ids[signature]

    def _parent(self, experiment: str, started_ms: int) -> StoredRun:
        """Return the parent run of an experiment, found or created; the first time, learn its runs as well."""
        if experiment not in self._parents:
            store = self._opened()
            experiment_id = store.require_experiment(experiment)
            self._know(store.runs({KIND: "trial"}, [experiment_id]))
            parents = store.runs({KIND: "experiment"}, [experiment_id])
            if not parents:
                tags = {KIND: "experiment", "oneshot.experiment": experiment}
                parents = [store.run(store.create_run(experiment_id, experiment, tags, started_ms))]
            parent = parents[0]
            self._parents[experiment] = parent
            self._statuses[parent.run_id] = parent.status
        return self._parents[experiment]

    def _know(self, runs: Iterable[StoredRun]) -> None:
        for run in runs:  # oldest first; should two writers have raced on a server, the older run is the trial's
            self._run_ids.setdefault(run.tags[SIGNATURE], run.run_id)
            self._statuses[run.run_id] = run.status


def _look(folder: TrialFolder, mark: Mark | None) -> _Look:
    if mark is not None and mark.seen and mark.seen[0] == State.DONE and folder.is_done():
        return _Look(folder, State.DONE, mark.started_ms, mark.seen)
    state, attempts = folder.state(), folder.attempts()
    try:
        size = folder.metrics_file.stat().st_size
    except FileNotFoundError:
        size = 0
    return _Look(folder, state, attempts[0].started_ms if attempts else None, (state.value, len(attempts), size))


def _stored(point: Point, stored_names: dict[str, str]) -> StoredPoint:
    """MLflow turns an infinite value into a huge number; it is stored as NaN, and a tag names the metric."""
    value = point.value if math.isfinite(point.value) else math.nan
    return StoredPoint(stored_names[point.name], value, point.step, point.time_ms)


def _ended_ms(folder: TrialFolder, attempts: list[Attempt]) -> int:
    result = folder.result()
    if result is not None:
        return result.finished_ms
    return attempts[-1].ended_ms or now_ms()
