"""Where tables read results: the trial folders, or the MLflow store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from orchestration.curves import Curves, curves_of
from orchestration.describe_tables import Column
from orchestration.journal import TrialFolder
from orchestration.runs import Runs
from orchestration.system_metrics import PREFIX
from orchestration.tables.reduction import reduce_steps
from orchestration.tables.result import CellState
from orchestration.tracking.metric_names import mlflow_name, original_name
from orchestration.tracking.pages import RunPlace, address_of, pages_of
from orchestration.tracking.store_location import StoreError, StoreLocation
from orchestration.tracking.trial_record import CODE, KIND, REASON, SIGNATURE, STATE, code_of, reason
from orchestration.trial_description import Trial
from orchestration.trial_state import state_of

if TYPE_CHECKING:
    from orchestration.tracking.mlflow_store import MlflowStore, StoredRun


class FolderSource:
    """Results read from the trial folders."""

    def __init__(self, runs_root: Path) -> None:
        self._runs = Runs(runs_root)

    def results(self, trials: Sequence[Trial]) -> dict[str, FolderResults]:
        """Return signature -> results for the trials that were started at least once."""
        folders = (self._runs.folder(trial.signature) for trial in trials)
        return {folder.signature: FolderResults(folder) for folder in folders if folder.last_attempt() is not None}

    def address(self, signatures: Iterable[str]) -> str:
        """Return nothing: folders have no pages."""
        return ""


class FolderResults:
    """One trial's results, read from its folder when they are asked for."""

    def __init__(self, folder: TrialFolder) -> None:
        self.folder = folder

    @cached_property
    def state(self) -> CellState:
        """The state of the trial."""
        return state_of(self.folder).value

    @cached_property
    def reason(self) -> str:
        """Why it has no result."""
        return reason(state_of(self.folder), self.folder.attempts())

    @cached_property
    def code(self) -> str:
        """The code its last attempt ran."""
        last = self.folder.last_attempt()
        return code_of(last.provenance) if last else ""

    @cached_property
    def curves(self) -> Curves:
        """Everything it measured."""
        return curves_of(self.folder)

    @property
    def metric_names(self) -> Sequence[str]:
        """The metrics that it logged."""
        return list(self.curves)

    def value(self, column: Column) -> float | None:
        """Return the column's metric reduced over steps, unscaled; None when there is no number."""
        selection = None if column.selection is None else self.curves.get(column.selection, {})
        return reduce_steps(self.curves.get(column.metric, {}), column.reduce, selection)


class MlflowSource:
    """Results read from the tracking store, as its last sync left them."""

    def __init__(self, runs_root: Path, tracking_uri: str | None = None) -> None:
        self._location = StoreLocation.resolve(runs_root, tracking_uri)
        self._places: dict[str, RunPlace] = {}

    def results(self, trials: Sequence[Trial]) -> dict[str, MlflowResults]:
        """Return signature -> results for the trials that have a run, in whatever experiment of the store.

        Raises:
            StoreError: there is no store yet, or it cannot be used.
        """
        store = self._opened()
        names = dict.fromkeys(trial.experiment for trial in trials)
        own = [found for found in map(store.experiment_id, names) if found is not None]
        runs = {run.tags[SIGNATURE]: run for run in reversed(store.runs({KIND: "trial"}, own))}
        missing = [trial for trial in trials if trial.signature not in runs]
        if missing and store.has_runs({KIND: "trial"}, [other for other in store.experiment_ids() if other not in own]):
            for trial in missing:
                for run in reversed(store.runs({SIGNATURE: trial.signature})):  # of several the oldest is the trial's
                    runs[trial.signature] = run
        found = {trial.signature: runs[trial.signature] for trial in trials if trial.signature in runs}
        self._places |= {one: RunPlace(run.experiment_id, run.run_id) for one, run in found.items()}
        curves = _StoredCurves(store, list(found.values()))
        return {signature: MlflowResults(run, curves) for signature, run in found.items()}

    def address(self, signatures: Iterable[str]) -> str:
        """Return the page that shows those of the trials that were read; empty when there is none."""
        places = [self._places[signature] for signature in signatures if signature in self._places]
        return address_of(pages_of(self._location), places)

    def _opened(self) -> MlflowStore:
        database = self._location.database
        if database is not None and not database.exists():
            raise StoreError(
                f"tracking store {self._location.shown}: nothing was written to it yet; run `oneshot sync` first"
            )
        from orchestration.tracking.mlflow_store import MlflowStore  # imports MLflow, which takes more than a second

        return MlflowStore(self._location)


class _StoredCurves:
    """Metrics over steps, read for all runs of a table when the first of them is asked for."""

    def __init__(self, store: MlflowStore, runs: Sequence[StoredRun]) -> None:
        self._store = store
        self._runs = runs
        self._found: dict[str, Mapping[str, Mapping[int, float]]] = {}

    def of(self, run: StoredRun, stored: str) -> Mapping[int, float]:
        """Return step -> value, empty when the run has no such metric."""
        if stored not in self._found:
            having = [one.run_id for one in self._runs if stored in one.metrics]
            self._found[stored] = self._store.histories(having, stored)
        return self._found[stored].get(run.run_id, {})


class MlflowResults:
    """One trial's results as its run has them."""

    def __init__(self, run: StoredRun, curves: _StoredCurves) -> None:
        self.run = run
        self._curves = curves

    @property
    def state(self) -> CellState:
        """The state of the trial when it was synced."""
        return cast(CellState, self.run.tags.get(STATE, "running"))  # without: its writer died right after creating it

    @property
    def reason(self) -> str:
        """Why it has no result."""
        return self.run.tags.get(REASON, "")

    @property
    def code(self) -> str:
        """The code its last attempt ran."""
        return self.run.tags.get(CODE, "")

    @property
    def metric_names(self) -> Sequence[str]:
        """The metrics that it logged."""
        return [original_name(name) for name in self.run.metrics if not name.startswith(PREFIX)]

    def value(self, column: Column) -> float | None:
        """Return the column's metric reduced over steps, unscaled; None when there is no number."""
        stored = mlflow_name(column.metric)
        if stored not in self.run.metrics:
            return None
        if column.selection is None and column.reduce == "last":
            return reduce_steps({0: self.run.metrics[stored]}, "last")
        selection = None if column.selection is None else self._curves.of(self.run, mlflow_name(column.selection))
        return reduce_steps(self._curves.of(self.run, stored), column.reduce, selection)
