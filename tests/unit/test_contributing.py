"""What CONTRIBUTING.md shows works: its listings are parts of files that are run here, or entered where they belong."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from orchestration.describe import Experiment, Need, Variant
from orchestration.errors import ExitCode, ResourcesError
from orchestration.journal_records import State
from orchestration.launch import Halt, Launcher
from orchestration.launch.driver import launch
from orchestration.plan import plan
from orchestration.resources import Resources
from orchestration.runs import Runs
from os2d.data import catalog
from os2d.data.dataset import build_dataset
from os2d.data.shelf.parameters import ShelfParameters, shelf_folder
from os2d.data.shelf.store import draw_shelf
from tests.documents import ROOT, blocks

TASK = "tests.integration.counting_task:task"
CATALOG = "os2d/data/catalog.py, in _TABLES"
FEW_PRODUCTS = ShelfParameters(
    train_classes=4, unseen_classes=3, distractors=2, train_images=2, val_images=2, objects=(3, 4)
)
ENTRY_POINT = "[oneshot.detectors]\nmy_model=template_matching:TemplateMatcher\n"


def listings() -> list[tuple[str, str]]:
    """Return what the first line of each Python block says it is from, and the block without that line."""
    texts = [block.text for block in blocks(ROOT / "CONTRIBUTING.md") if block.language == "python"]
    return [(head.removeprefix("# "), body) for head, _, body in (text.partition("\n") for text in texts)]


def test_every_listing_is_part_of_the_file_it_names():
    wrong = [
        place
        for place, body in listings()
        if place != CATALOG and f"\n{body}" not in (ROOT / place).read_text(encoding="utf-8") + "\n"
    ]
    assert wrong == []
    assert len(listings()) == 6


def test_the_example_of_a_launcher_runs_trials_in_order_and_each_once(tmp_path, example_launcher):
    runs = Runs(tmp_path / "runs")
    training = Experiment("training", TASK, variants=[Variant("bad", {"fail_at": 2}), Variant("good")])
    reading = Experiment("reading", TASK, variants=[Variant("bad"), Variant("good")], needs={"m": Need(training)})
    planned = plan([training, reading])
    summary = launch(planned, runs, example_launcher, Console(file=(tmp_path / "told").open("w")))
    states = [summary.states[trial.signature] for trial in planned.trials]
    assert states == [State.FAILED, State.DONE, State.BLOCKED, State.DONE]
    assert summary.exit_code == ExitCode.FAILED
    assert list(summary.reasons.values()) == ["the same failure twice: RuntimeError: told to fail at step 2"]
    good = runs.folder(planned.trials[1].signature)
    assert len(good.attempts()) == 1
    launch(planned, runs, example_launcher, Console(file=(tmp_path / "told").open("w")))
    assert len(good.attempts()) == 1


def test_the_example_of_a_launcher_lets_a_worker_save_and_refuses_what_never_fits(tmp_path, example_launcher):
    runs, halt = Runs(tmp_path / "runs"), Halt()
    slow = plan([Experiment("slow", TASK, {"steps": 10000, "runtime.seconds_per_step": 0.02}, seeds=2)])
    folders = [runs.create(trial) for trial in slow.trials]
    for trial in slow.trials:
        runs.ask(trial, ())
    launching = threading.Thread(target=example_launcher.run, args=(slow.trials, runs, halt))
    launching.start()
    while not folders[0].metrics() and launching.is_alive():
        halt.wait(0.1)
    halt.ask()
    launching.join(30)
    assert not launching.is_alive()
    assert [len(folder.attempts()) for folder in folders] == [1, 0]
    assert list((folders[0].path / "checkpoints").glob("step_*.pth"))
    with pytest.raises(ResourcesError, match="asks for 100000 cpus"):
        example_launcher.check(plan([Experiment("big", TASK, resources=Resources(cpus=100000))]).trials)


def test_the_example_of_a_launcher_plans_and_launches_as_a_program(tmp_path):
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    done = subprocess.run(
        [sys.executable, "docs/examples/own_launcher.py", "docs/examples/own_task.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("6 done; folder ")


@pytest.fixture
def example_launcher(monkeypatch) -> Launcher:
    monkeypatch.syspath_prepend(ROOT / "docs" / "examples")
    from own_launcher import OneAtATime

    return OneAtATime()


def test_two_lines_in_the_catalog_name_a_data_set(tmp_path, monkeypatch):
    entries = next(body for place, body in listings() if place == CATALOG)
    monkeypatch.setattr(catalog, "_TABLES", eval(entries, vars(catalog)))
    catalog.is_known.cache_clear()
    draw_shelf(tmp_path / "cups", FEW_PRODUCTS)
    (tmp_path / "cups" / "classes" / "shelf.csv").rename(tmp_path / "cups" / "classes" / "cups.csv")
    (tmp_path / "cups" / "src" / "320").rename(tmp_path / "cups" / "src" / "1280")
    table = tmp_path / "cups" / "classes" / "cups.csv"
    table.write_text(table.read_text().replace("val-old-cl", "val").replace("val-new-cl", "val"))
    assert [len(build_dataset(name, tmp_path)) for name in ("cups-train", "cups-val")] == [2, 4]
    assert catalog.is_known("cups-val")
    catalog.is_known.cache_clear()


@pytest.mark.slow
def test_the_example_of_a_model_runs_fills_its_table_and_detects(tmp_path):
    data = shelf_folder(tmp_path / "data", ShelfParameters())
    draw_shelf(data, FEW_PRODUCTS)
    written = tmp_path / "site" / "my_model-1.0.dist-info"
    written.mkdir(parents=True)
    (written / "METADATA").write_text("Metadata-Version: 2.1\nName: my_model\nVersion: 1.0\n")
    (written / "entry_points.txt").write_text(ENTRY_POINT)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    file = "docs/examples/compare_template_matching.py"
    oneshot(tmp_path, "run", file, "--only", "template-matching", "--launcher", "local")
    cells = json.loads(oneshot(tmp_path, "table", file, "--from", "runs", "--json"))
    means = {cell["row"]: cell["mean"] for cell in cells if cell["column"] == "seen classes"}
    assert means["template matching, three sizes"] > 50
    assert means["OS2D, untrained"] is None
    seen, pictures = build_dataset("shelf-val-old-cl", tmp_path / "data"), data / "classes" / "images"
    words = ["--image", str(seen.image_path(seen.image_ids[0])), "--class-image", str(pictures), "--json"]
    model = "template-matching/three sizes-seed0"
    told = json.loads(oneshot(tmp_path, "detect", *words, "--threshold", "0.5", "--model", model))
    found = told["images"][0]["detections"]
    assert found and all(one["score"] > 0.5 for one in found)
    assert {one["class"] for one in found} <= {picture.stem for picture in pictures.iterdir()}


def oneshot(folder: Path, *words: str) -> str:
    """Return what a command prints that runs in a folder where a package with our detector is installed."""
    paths = os.pathsep.join([str(folder / "site"), str(ROOT / "docs" / "examples"), str(ROOT)])
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ONESHOT_", "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.cli", *words],
        cwd=folder,
        env={**environment, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
