"""Many writers of one new SQLite store."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.tracking.mlflow_store import MlflowStore
from orchestration.tracking.store_location import StoreLocation
from tests.unit.trial_folders import done, make_trial

pytestmark = pytest.mark.cluster

REPOSITORY = Path(__file__).resolve().parents[2]


def test_eight_processes_may_sync_into_one_new_store_at_once(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for seed in range(4):
        done(tmp_path, make_trial(seed=seed), {"mAP@0.5": {step: step / 10 for step in range(5)}})
    code = f"from pathlib import Path; from orchestration.tracking.sync import sync; sync(Path({str(tmp_path)!r}))"

    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    complaints = [process.communicate(timeout=240)[1] for process in processes]

    assert [process.returncode for process in processes] == [0] * 8, complaints
    runs = MlflowStore(StoreLocation.resolve(tmp_path)).runs({"oneshot.kind": "trial"})
    assert sorted(run.tags["oneshot.seed"] for run in runs) == ["0", "1", "2", "3"]
    assert {run.status for run in runs} == {"FINISHED"}
    assert {run.metrics["mAP_at_0.5"] for run in runs} == {0.4}


def test_eight_processes_may_open_one_new_store_at_once(tmp_path):
    """Two runs folders may share a database, then no lock of a runs folder helps."""
    uri = f"sqlite:///{tmp_path}/shared.db"
    code = (
        "from pathlib import Path; from orchestration.tracking.mlflow_store import MlflowStore; "
        "from orchestration.tracking.store_location import StoreLocation; "
        f"MlflowStore(StoreLocation({uri!r}, Path({str(tmp_path)!r})))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY) for _ in range(8)]
    assert [process.wait(timeout=240) for process in processes] == [0] * 8
