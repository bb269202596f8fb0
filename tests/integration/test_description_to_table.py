"""The whole way: a description, Ray, real OS2D training on drawn images, MLflow, a table and a report."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.tracking.mlflow_store import MlflowStore
from orchestration.tracking.store_location import StoreLocation
from os2d.data.shelf.parameters import ShelfParameters
from os2d.data.shelf.store import draw_shelf
from tests.integration.oneshot_project import without_addresses

ROOT = Path(__file__).resolve().parents[2]

TINY = ShelfParameters(
    train_classes=4, unseen_classes=2, distractors=2, train_images=4, val_images=2, image_size=160, objects=(2, 4)
)

FILE = """
from experiments.small_os2d import LOSS_ROWS, SMALL_OS2D
from orchestration.describe import Column, Experiment, Table, seeds

tiny = Experiment(
    name="tiny",
    task="os2d.tasks:train",
    config=SMALL_OS2D
    | {
        "train.dataset_name": "custom:FOLDER#train",
        "train.dataset_scale": 160.0,
        "train.augment.train_patch_width": 96,
        "train.augment.train_patch_height": 96,
        "train.optim.max_iter": 3,
        "train.optim.anneal_lr.milestones": [2],
        "eval.iter": 2,
        "eval.dataset_names": ["custom:FOLDER#val-new-cl"],
        "eval.dataset_scales": [160.0],
    },
    variants=LOSS_ROWS[:2],
    seeds=seeds(2),
)
table = Table("tiny", "mAP", tiny, [Column("unseen", "mAP@0.50_drawn-val-new-cl", scale=100)])
"""


def oneshot(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "orchestration.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_description_becomes_a_table_and_nothing_runs_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    draw_shelf(tmp_path / "drawn", TINY)
    (tmp_path / "file.py").write_text(FILE.replace("FOLDER", str(tmp_path / "drawn")))

    first = oneshot(tmp_path, "run", "file.py")
    assert first.returncode == 0, first.stderr
    again = oneshot(tmp_path, "run", "file.py", "--json")
    assert again.returncode == 0, again.stderr

    records = json.loads(again.stdout)
    assert [record["state"] for record in records] == ["done"] * 4
    attempts = [list((tmp_path / "runs" / r["signature"] / "attempts").glob("[0-9]*")) for r in records]
    assert [len(a) for a in attempts] == [1] * 4
    cells = json.loads(oneshot(tmp_path, "table", "file.py", "--json").stdout)
    assert [(c["row"], c["n"], c["state"]) for c in cells] == [("untrained", 2, "done"), ("contrastive", 2, "done")]
    assert all(0 <= c["mean"] <= 100 and c["std"] is not None for c in cells)
    from_runs = json.loads(oneshot(tmp_path, "table", "file.py", "--json", "--from", "runs").stdout)
    assert without_addresses(cells) == from_runs
    store = MlflowStore(StoreLocation.resolve(tmp_path / "runs"))
    assert {run.status for run in store.runs({})} == {"FINISHED"}
    page = (tmp_path / "runs" / "reports" / "tiny" / "index.html").read_text()
    assert "data:image/" in page
    assert page.count('href="http://127.0.0.1:5000/#/runs/') == 4
    assert not re.search(r'src="http|@import|url\(', page)
