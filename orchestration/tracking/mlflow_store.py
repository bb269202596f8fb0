"""MLflow, as far as we use it. The only module that imports it, which takes more than a second.

Everything MLflow raises becomes a :class:`~orchestration.tracking.store_location.StoreError` that names the store.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from orchestration.tracking.sqlite_database import make_database, opening_lock, require_own_schema
from orchestration.tracking.store_location import StoreError, StoreLocation

# Read by MLflow while it is imported. An unreachable server must cost seconds: by default one call blocks for minutes.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}.items():
    os.environ.setdefault(_name, _value)

import mlflow.entities as entities  # noqa: E402
import mlflow.store.db_migrations  # noqa: E402
import mlflow.version  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.store.artifact.artifact_repo import ArtifactRepository  # noqa: E402
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

for _noisy in ("mlflow", "alembic"):
    logging.getLogger(_noisy).setLevel(logging.WARNING)

MIGRATIONS = Path(mlflow.store.db_migrations.__file__).parent

METRICS_PER_BATCH = 1000
RUNS_PER_QUERY = 500
REQUESTS_AT_ONCE = 8
MOST_POINTS = 2**31 - 1
LONGEST_TAG = 8000

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class StoredRun:
    """A run as the store has it. ``metrics`` holds the value at the highest step of each stored name."""

    run_id: str
    experiment_id: str
    status: str
    started_ms: int
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    artifact_uri: str


@dataclass(frozen=True)
class StoredPoint:
    """A metric value under its stored name."""

    name: str
    value: float
    step: int
    time_ms: int


class MlflowStore:
    """An open store; the first opening creates the tables of a SQLite database."""

    def __init__(self, location: StoreLocation) -> None:
        location.require_usable()
        self.location = location
        with _translated(location):
            if location.database is None:
                self._client = _client_of(location.uri)
                return
            with opening_lock(location.database, location.shown):
                if location.database.exists():
                    require_own_schema(location.database, MIGRATIONS, mlflow.version.VERSION)
                else:
                    make_database(location.database, _client_of)
                self._client = _client_of(location.uri)

    def experiment_id(self, name: str) -> str | None:
        """Return the identifier of an experiment, or None when there is none of this name."""
        with _translated(self.location):
            found = self._client.get_experiment_by_name(name)
        return found.experiment_id if found else None

    def experiment_ids(self) -> list[str]:
        """Return the identifiers of all experiments."""
        with _translated(self.location):
            return [experiment.experiment_id for experiment in self._client.search_experiments()]

    def require_experiment(self, name: str) -> str:
        """Return the identifier of an experiment, creating it, or restoring it when it was deleted."""
        with _translated(self.location):
            found = self._client.get_experiment_by_name(name)
            if found is None:
                folder = self.location.artifacts
                return self._client.create_experiment(
                    name, artifact_location=(folder / name).as_uri() if folder is not None else None
                )
            if found.lifecycle_stage == entities.LifecycleStage.DELETED:
                self._client.restore_experiment(found.experiment_id)
            return found.experiment_id

    def runs(self, tags: Mapping[str, str], experiment_ids: Sequence[str] | None = None) -> list[StoredRun]:
        """Return the runs that carry all ``tags``, oldest first, in the given experiments or in all of them."""
        condition = _condition(tags)
        found: list[StoredRun] = []
        with _translated(self.location):
            if experiment_ids is None:
                experiment_ids = self.experiment_ids()
            token: str | None = None
            while experiment_ids:
                page = self._client.search_runs(list(experiment_ids), condition, max_results=1000, page_token=token)
                found.extend(map(_stored_run, page))
                token = page.token
                if not token:
                    break
        return sorted(found, key=lambda run: (run.started_ms, run.run_id))

    def has_runs(self, tags: Mapping[str, str], experiment_ids: Sequence[str]) -> bool:
        """Tell whether any of the experiments has a run that carries all ``tags``."""
        if not experiment_ids:
            return False
        with _translated(self.location):
            return bool(self._client.search_runs(list(experiment_ids), _condition(tags), max_results=1))

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str], started_ms: int) -> StoredRun:
        """Create a run together with its tags, in one transaction."""
        with _translated(self.location):
            run = self._client.create_run(experiment_id, start_time=started_ms, tags=_fitting_tags(tags), run_name=name)
        return _stored_run(run)

    def log(
        self, run_id: str, points: Iterable[StoredPoint], params: Mapping[str, str], tags: Mapping[str, str]
    ) -> int:
        """Write metric values in batches, with the last one parameters and tags; return how many values.

        Writing a value again changes nothing, tags replace the values they had, and a parameter can never be changed.
        """
        written = 0
        batches = list(_batches(points, METRICS_PER_BATCH)) or [[]]
        for number, batch in enumerate(batches, start=1):
            metrics = [entities.Metric(point.name, point.value, point.time_ms, point.step) for point in batch]
            rest = (params, _fitting_tags(tags)) if number == len(batches) else ({}, {})
            with _translated(self.location):
                self._client.log_batch(
                    run_id,
                    metrics=metrics,
                    params=[entities.Param(key, value) for key, value in rest[0].items()],
                    tags=[entities.RunTag(key, value) for key, value in rest[1].items()],
                )
            written += len(batch)
        return written

    def keep_texts(self, run: StoredRun, texts: Mapping[str, str]) -> None:
        """Write text artifacts: path inside the run's artifacts -> content."""
        if not texts:
            return
        with _translated(self.location), tempfile.TemporaryDirectory() as folder:
            for name, text in texts.items():
                file = Path(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            self._artifacts(run).log_artifacts(folder)

    def keep_files(self, run: StoredRun, files: Iterable[tuple[Path, str]]) -> None:
        """Copy files into folders of the run's artifacts; an empty name is the top."""
        with _translated(self.location):
            for file, folder in files:
                self._artifacts(run).log_artifact(str(file), folder or None)

    def _artifacts(self, run: StoredRun) -> ArtifactRepository:
        """Return where a run's artifacts go, without asking the store for the run again as the client does."""
        return get_artifact_repository(run.artifact_uri, tracking_uri=self.location.uri)

    def reopen(self, run_id: str) -> None:
        """Set a run to RUNNING."""
        with _translated(self.location):
            self._client.update_run(run_id, status="RUNNING")

    def terminate(self, run_id: str, status: str, ended_ms: int) -> None:
        """End a run as FINISHED, FAILED or KILLED, at the time when it really ended."""
        with _translated(self.location):
            self._client.set_terminated(run_id, status=status, end_time=ended_ms)

    def history(self, run_id: str, stored_name: str) -> dict[int, float]:
        """Return step -> value of one metric; of several values at a step the latest."""
        with _translated(self.location):
            points = self._client.get_metric_history(run_id, stored_name)
        return {point.step: point.value for point in sorted(points, key=lambda point: (point.step, point.timestamp))}

    def histories(self, run_ids: Sequence[str], stored_name: str) -> dict[str, dict[int, float]]:
        """Return run -> step -> value of one metric in many runs: a database is asked for all of them at once."""
        in_bulk = getattr(self._client._tracking_client.store, "get_metric_history_bulk", None)
        if in_bulk is None:  # a server has no such request: several at a time
            with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
                return dict(
                    zip(run_ids, pool.map(partial(self.history, stored_name=stored_name), run_ids), strict=True)
                )
        found: dict[str, dict[int, float]] = {run_id: {} for run_id in run_ids}
        with _translated(self.location):
            for batch in _batches(run_ids, RUNS_PER_QUERY):
                for point in in_bulk(batch, stored_name, MOST_POINTS):  # of one run the earliest first
                    found[point.run_id][point.step] = point.value
        return found


def _client_of(uri: str) -> MlflowClient:
    """Return a client that has asked the store something; the first question makes the tables of a new database."""
    client = MlflowClient(tracking_uri=uri)
    client.search_experiments(max_results=1)
    return client


def _stored_run(run: entities.Run) -> StoredRun:
    return StoredRun(
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
        status=run.info.status,
        started_ms=run.info.start_time or 0,
        tags=run.data.tags,
        params=run.data.params,
        metrics=run.data.metrics,
        artifact_uri=run.info.artifact_uri,
    )


@contextmanager
def _translated(location: StoreLocation) -> Iterator[None]:
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise StoreError(f"tracking store {location.shown}: {reason}") from error


def _condition(tags: Mapping[str, str]) -> str:
    return " and ".join(f"tags.`{key}` = {_quoted(value)}" for key, value in tags.items())


def _quoted(value: str) -> str:
    if "'" in value:
        raise StoreError(f"tag value {value!r}: a quote cannot be searched for in MLflow")
    return f"'{value}'"


def _fitting_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value[:LONGEST_TAG] for key, value in tags.items()}


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
