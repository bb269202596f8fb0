"""Trial folders written into an MLflow store: one run per trial, under one parent run per experiment.

Whoever calls holds the writer's lock (:mod:`orchestration.tracking.sync`). Runs are found again by the signature they
carry from the moment they exist, so that a writer may die at any point and the next one continues.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from orchestration.attempt import Attempt, now_ms
from orchestration.errors import JournalError, OrchestrationError
from orchestration.journal import TrialFolder
from orchestration.journal_records import MetricPoint, State
from orchestration.runs import Runs
from orchestration.tracking.marks import (
    Mark,
    marks_file,
    news_since,
    read_marks,
    system_news_since,
    write_marks,
)
from orchestration.tracking.metric_names import mlflow_names
from orchestration.tracking.mlflow_store import MlflowStore, StoredPoint, StoredRun
from orchestration.tracking.store_location import StoreError, StoreLocation
from orchestration.tracking.trial_record import (
    KIND,
    NOT_FINITE,
    RUN_STATUS,
    SIGNATURE,
    described_by,
    experiment_status,
    files_of,
    identity_tags,
    progress_tags,
    record_of,
)
from orchestration.tracking.trials_table import TRIALS_FILE, Line, trials_csv
from orchestration.trial_state import state_of

logger = logging.getLogger(__name__)

SYSTEM_NEWS_BYTES = 4096
"""The load of a machine alone is written when it has grown by so much, about once a minute; else with other news."""


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
    """A trial folder as one glance shows it: ``started_ms`` is None before the first attempt.

    Of a trial that was done at the last look, nothing else is read again and ``attempts`` is empty.
    """

    folder: TrialFolder
    state: State
    started_ms: int | None
    seen: tuple[str | int, ...]
    attempts: Sequence[Attempt] = ()


class Projection:
    """The runs folder as it stands in one store."""

    def __init__(self, runs: Runs, location: StoreLocation) -> None:
        self._runs = runs
        self._location = location
        self._marks_file = marks_file(runs.root, location.uri)
        self._store: MlflowStore | None = None
        self._parents: dict[str, StoredRun] = {}
        self._trial_runs: dict[str, StoredRun] = {}
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
            for name, folders in self._by_experiment(experiments, written).items():
                self._update_experiment(name, folders, marks, written)
        finally:
            if marks != before:
                write_marks(self._marks_file, marks, self._location.shown)
        return written

    def _by_experiment(self, experiments: Collection[str] | None, written: Written) -> dict[str, list[TrialFolder]]:
        """Return the trial folders by the experiment that asked first: a shared trial has one run, there.

        One that cannot be read, damaged or of a newer version of this program, keeps no other from being written.
        """
        also = {path for name in experiments or () for path in self._linked(name)}
        found: dict[str, list[TrialFolder]] = {}
        for folder in self._runs.folders():
            try:
                home = folder.trial.experiment
            except JournalError as error:
                written.problems.append(str(error))
                continue
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
        others_have_runs = self._others_have_runs(parent) if any(map(self._is_unknown, looks)) else False
        updated_before = written.updated
        for look in looks:
            mark = marks.get(look.folder.signature)
            if look.started_ms is None or self._is_current(mark, look):
                continue
            try:
                run, is_new = self._run_of(look, parent, others_have_runs)
                written.created += is_new
                mark = mark if mark is not None and mark.run_id == run.run_id else Mark(run.run_id, look.started_ms)
                marks[look.folder.signature] = self._write(look, run, mark, written)
                written.updated += 1
            except OrchestrationError as error:
                self._trial_runs.pop(look.folder.signature, None)
                self._judge(error, f"{name}/{look.folder.trial.name}", written)
        status = experiment_status(look.state for look in looks)
        if self._statuses[parent.run_id] != status:
            self._set_status(parent.run_id, status, now_ms())
        if status != "RUNNING" and written.updated > updated_before:
            lines = [Line(look.folder, look.state) for look in looks]
            try:
                self._opened().keep_texts(parent, {TRIALS_FILE: trials_csv(lines)})
            except OrchestrationError as error:
                self._judge(error, name, written)

    def _is_current(self, mark: Mark | None, look: _Look) -> bool:
        """Tell whether the store has all of a trial; a store that lost the run, deleted or replaced, has not."""
        run = self._trial_runs.get(look.folder.signature)
        return mark is not None and mark.seen == look.seen and run is not None and run.run_id == mark.run_id

    def _judge(self, error: OrchestrationError, what: str, written: Written) -> None:
        """Go on with the other trials when the fault is this one's, not the store's."""
        if isinstance(error, StoreError) and self._location.problem() is not None:
            raise error
        written.problems.append(f"{what}: {error}")

    def _write(self, look: _Look, run: StoredRun, mark: Mark, written: Written) -> Mark:
        store, folder = self._opened(), look.folder
        attempts = look.attempts or folder.attempts()
        mark, points = news_since(mark, folder)
        mark, system_points = system_news_since(mark, folder)
        stored_names = mlflow_names([*mark.names, *dict.fromkeys(point.name for point in system_points)])
        texts: dict[str, str] = {}
        params: dict[str, str] = {}
        tags = progress_tags(folder, look.state, attempts)
        if mark.not_finite:
            tags[NOT_FINITE] = ", ".join(mark.not_finite)
        if not mark.described:
            described = described_by(folder.trial.config, known=run.params)
            params, texts = described.params, described.texts
            tags |= described.tags
        files: list[tuple[Path, str]] = []
        if look.state is State.DONE:
            texts |= record_of(folder, attempts)
            files += files_of(folder, attempts)
        store.keep_texts(run, texts)
        store.keep_files(run, files)
        written.points += len(points)
        store.log(run.run_id, (_stored(point, stored_names) for point in [*points, *system_points]), params, tags)
        self._set_status(run.run_id, RUN_STATUS[look.state], _ended_ms(folder, attempts))
        return replace(mark, described=True, seen=look.seen)

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

    def _run_of(self, look: _Look, parent: StoredRun, others_have_runs: bool) -> tuple[StoredRun, bool]:
        """Return the run of a trial and whether it had to be created."""
        signature = look.folder.signature
        if signature not in self._trial_runs and others_have_runs:
            self._know(self._opened().runs({SIGNATURE: signature}))
        if signature in self._trial_runs:
            return self._trial_runs[signature], False
        trial = look.folder.trial
        tags = {**identity_tags(trial), "mlflow.parentRunId": parent.run_id}
        run = self._opened().create_run(parent.experiment_id, trial.name, tags, look.started_ms or now_ms())
        self._know([run])
        return run, True

    def _is_unknown(self, look: _Look) -> bool:
        return look.started_ms is not None and look.folder.signature not in self._trial_runs

    def _others_have_runs(self, parent: StoredRun) -> bool:
        """Tell whether a trial may have its run in another experiment; else nobody need look there for each trial."""
        store = self._opened()
        others = [found for found in store.experiment_ids() if found != parent.experiment_id]
        return store.has_runs({KIND: "trial"}, others)

    def _parent(self, experiment: str, started_ms: int) -> StoredRun:
        """Return the parent run of an experiment, found or created; the first time, learn its runs as well."""
        if experiment not in self._parents:
            store = self._opened()
            experiment_id = store.require_experiment(experiment)
            self._know(store.runs({KIND: "trial"}, [experiment_id]))
            parents = store.runs({KIND: "experiment"}, [experiment_id])
            if not parents:
                tags = {KIND: "experiment", "oneshot.experiment": experiment}
                parents = [store.create_run(experiment_id, experiment, tags, started_ms)]
            parent = parents[0]
            self._parents[experiment] = parent
            self._statuses[parent.run_id] = parent.status
        return self._parents[experiment]

    def _know(self, runs: Iterable[StoredRun]) -> None:
        for run in runs:  # oldest first; should two writers have raced on a server, the older run is the trial's
            self._trial_runs.setdefault(run.tags[SIGNATURE], run)
            self._statuses[run.run_id] = run.status


def _look(folder: TrialFolder, mark: Mark | None) -> _Look:
    if mark is not None and mark.seen and mark.seen[0] == State.DONE and folder.is_done():
        return _Look(folder, State.DONE, mark.started_ms, mark.seen)
    state, attempts = state_of(folder), folder.attempts()
    system = _size(folder.system_file) // SYSTEM_NEWS_BYTES
    started_ms = attempts[0].started_ms if attempts else None
    seen = (state.value, len(attempts), _size(folder.metrics_file), system)
    return _Look(folder, state, started_ms, seen, attempts)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _stored(point: MetricPoint, stored_names: dict[str, str]) -> StoredPoint:
    """MLflow turns an infinite value into a huge number; it is stored as NaN, and a tag names the metric."""
    value = point.value if math.isfinite(point.value) else math.nan
    return StoredPoint(stored_names[point.name], value, point.step, point.time_ms)


def _ended_ms(folder: TrialFolder, attempts: Sequence[Attempt]) -> int:
    result = folder.result()
    if result is not None:
        return result.finished_ms
    return attempts[-1].ended_ms or now_ms()
