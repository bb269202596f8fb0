"""Real trial folders in any state, without running anything."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestration.attempt import Attempt, Ending, Outcome
from orchestration.describe import Experiment, Resources, Table
from orchestration.durable import LineWriter, to_json
from orchestration.journal import TrialFolder
from orchestration.plan import Entry, Plan
from orchestration.runs import Runs
from orchestration.signature import signature_of
from orchestration.tracking.store_location import StoreLocation
from orchestration.trial_description import Trial

START_MS = 1_700_000_000_000
CONFIG = {"train": {"optim": {"lr": 0.1, "max_iter": 20}}, "eval": {"scales": [0.5, 1.0]}, "name": "a b"}


def make_trial(
    variant: str = "base",
    seed: int = 0,
    experiment: str = "losses",
    config: Mapping[str, Any] = CONFIG,
    needs: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    point: Mapping[str, Any] | None = None,
) -> Trial:
    identity = {"variant": json.dumps(variant), "config": json.dumps(config), "point": json.dumps(dict(point or {}))}
    told = "".join(f",{key}={value}" for key, value in (point or {}).items())
    return Trial(
        name=f"{variant}{told}-seed{seed}",
        experiment=experiment,
        variant=variant,
        task="os2d.tasks:train",
        code_version="1",
        config=config,
        seed=seed,
        resources=Resources(),
        needs=needs or {},
        tags=tags or {},
        signature=signature_of({**identity, "seed": str(seed)}),
        group=signature_of(identity),
        point=point or {},
    )


def make_plan(trials: Sequence[Trial], tables: Sequence[Table] = (), experiments: Sequence[Experiment] = ()) -> Plan:
    entries = tuple(
        Entry(t.experiment, t.variant, t.name, t.seed, t.point, t.tags, t.signature, requested=True) for t in trials
    )
    return Plan(tuple({t.signature: t for t in trials}.values()), entries, tuple(experiments), tuple(tables))


def put_empty_store(root: Path) -> None:
    """Give a runs folder a database with its tables, copied: making them takes seconds."""
    root.mkdir(exist_ok=True)
    shutil.copyfile(_empty_store(), root / "mlflow.db")


@lru_cache
def _empty_store() -> Path:
    from orchestration.tracking.mlflow_store import MlflowStore

    folder = Path(tempfile.mkdtemp(prefix="empty-store-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    MlflowStore(StoreLocation(f"sqlite:///{folder}/mlflow.db", folder / "mlartifacts"))
    return folder / "mlflow.db"


def create(root: Path, trial: Trial) -> TrialFolder:
    runs = Runs(root)
    folder = runs.create(trial)
    runs.link(Entry(trial.experiment, trial.variant, trial.name, trial.seed, {}, {}, trial.signature, True))
    return folder


def start(folder: TrialFolder, provenance: Mapping[str, Any] | None = None) -> Attempt:
    """Claim the trial for this process: it is running."""
    attempt = folder.claim()
    assert isinstance(attempt, Attempt)
    (attempt.folder / "provenance.json").write_text(to_json(dict(provenance or {})))
    return attempt


def log(folder: TrialFolder, step: int, metrics: Mapping[str, float], time_ms: int | None = None) -> None:
    writer = LineWriter(folder.metrics_file)
    writer.append({"step": step, "time_ms": time_ms or START_MS + 1000 * step, "metrics": dict(metrics)})
    writer.close()


def sample(folder: TrialFolder, time_ms: int, values: Mapping[str, float]) -> None:
    """Write the load of the machine down as a worker does."""
    writer = LineWriter(folder.system_file)
    writer.append({"time_ms": time_ms, "attempt": 1, "values": dict(values)})
    writer.close()


def end(attempt: Attempt, outcome: Outcome, message: str = "") -> None:
    attempt.close(Ending(outcome, attempt.started_ms + 100_000, message))


def finish(folder: TrialFolder, attempt: Attempt, metrics: Mapping[str, float]) -> None:
    folder.finish(metrics, attempt.number)
    end(attempt, Outcome.OK)


def vanish(folder: TrialFolder, attempt: Attempt) -> None:
    """Let the attempt's worker be a process that no longer exists."""
    claim = attempt.folder / "claim.json"
    fields = json.loads(claim.read_text())
    fields["owner"]["pid_start"] = "another boot:0"
    claim.write_text(json.dumps(fields))


def done(root: Path, trial: Trial, curves: Mapping[str, Mapping[int, float]], **provenance: Any) -> TrialFolder:
    """A trial that logged these curves and is done."""
    folder = create(root, trial)
    attempt = start(folder, provenance)
    for step in sorted({step for curve in curves.values() for step in curve}):
        log(folder, step, {name: curve[step] for name, curve in curves.items() if step in curve})
    finish(folder, attempt, {name: curve[max(curve)] for name, curve in curves.items()})
    return folder
