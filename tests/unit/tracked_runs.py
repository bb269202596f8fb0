"""A runs folder with an empty store, and what a store says of its trials.

The fixtures are imported by their own names (``root as root``): pytest finds them in the module of the tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.tracking.mlflow_store import MlflowStore, StoredRun
from orchestration.tracking.store_location import StoreLocation
from tests.unit.trial_folders import put_empty_store

MAP = "shelf-val-new-cl/mAP@0.50"


@pytest.fixture(autouse=True)
def no_store_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put_empty_store(tmp_path / "runs")
    return tmp_path / "runs"


def stored(root: Path) -> tuple[MlflowStore, dict[str, StoredRun]]:
    store = MlflowStore(StoreLocation.resolve(root))
    return store, {run.tags["oneshot.trial"]: run for run in store.runs({"oneshot.kind": "trial"})}


def parent(root: Path) -> StoredRun:
    (run,) = MlflowStore(StoreLocation.resolve(root)).runs({"oneshot.kind": "experiment"})
    return run
