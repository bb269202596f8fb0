"""How fast trials get into MLflow's SQLite store, and tables out of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from orchestration.bench.case import Case, plan_of, seconds_of
from orchestration.bench.finding import Finding, Target, Unit
from orchestration.bench.scene import make_trials
from orchestration.describe import Column, Table
from orchestration.errors import LaunchError
from orchestration.tables.build import build_table
from orchestration.tables.sources import FolderSource, MlflowSource
from orchestration.tracking.store_location import StoreLocation
from orchestration.tracking.sync import sync

METRICS = 2
BATCH = 1000


def measure_sync(case: Case) -> Iterator[Finding]:
    """Write the curves of trials by a sync, and the same points by bare ``log_batch``, each into a new store."""
    trials, steps = case.sizes.synced_trials, case.sizes.synced_steps
    points = trials * steps * METRICS
    empty, ours, bare = _empty_store(case), [], []
    for _ in case.rounds():
        root = case.new_folder("sync")
        make_trials(root, plan_of(trials), ["done"], steps)
        shutil.copyfile(empty, root / "mlflow.db")
        ours.append(points / seconds_of(partial(_sync, root, points)))
        folder = case.new_folder("log-batch")
        shutil.copyfile(empty, folder / "mlflow.db")
        bare.append(points / seconds_of(partial(_log_batches, folder, trials, steps)))
    yield Finding(
        "sync",
        f"sync of {points:,} points of {trials} trials into SQLite",
        Unit.POINTS,
        tuple(ours),
        tuple(bare),
        f"log_batch of {BATCH}",
        Target(7000, at_least=True),
        note="ours reads the folders, and writes parameters, tags and artifacts as well",
    )


def measure_tables(case: Case) -> Iterator[Finding]:
    """Build a table from many runs of the store, and from as many folders."""
    count, root = case.sizes.table_runs, case.new_folder("table")
    plan = plan_of(count)
    make_trials(root, plan, ["done"])
    shutil.copyfile(_empty_store(case), root / "mlflow.db")
    sync(root, tracking_uri=_uri(root))
    table = Table(
        "bench", "Bench", "bench", [Column("loss", "loss", lower_is_better=True), Column("accuracy", "accuracy")]
    )
    for title, source in (("MLflow", MlflowSource(root, _uri(root))), ("folders", FolderSource(root))):
        samples = tuple(seconds_of(partial(build_table, table, plan, source)) for _ in case.rounds())
        yield Finding("table", f"table of {count:,} runs from {title}", ours=samples, target=Target(2.0))


def _uri(root: Path) -> str:
    return f"sqlite:///{root / 'mlflow.db'}"


def _empty_store(case: Case) -> Path:
    """Return a database that has its tables: making them takes seconds, and is not measured."""
    from orchestration.tracking.mlflow_store import MlflowStore

    folder = case.new_folder("store")
    MlflowStore(StoreLocation(_uri(folder), folder / "mlartifacts"))
    return folder / "mlflow.db"


def _sync(root: Path, points: int) -> None:
    written = sync(root, tracking_uri=_uri(root))
    if written.problems or written.points < points:
        raise LaunchError(
            f"the sync of the benchmark wrote {written.points} of {points} points: {written.problems[:1]}"
        )


def _log_batches(folder: Path, trials: int, steps: int) -> None:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

    client = MlflowClient(_uri(folder))
    experiment = client.create_experiment("bench")
    for _ in range(trials):
        run = client.create_run(experiment)
        points = [
            Metric(name, 1 / s, 1_700_000_000_000 + s, s) for s in range(1, steps + 1) for name in ("loss", "accuracy")
        ]
        for start in range(0, len(points), BATCH):
            client.log_batch(run.info.run_id, metrics=points[start : start + BATCH])
        client.set_terminated(run.info.run_id)
