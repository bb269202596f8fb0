"""Commands of the documents, typed into a shell in a folder of short trials (``tests/documented_commands.py``)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from os2d.data.shelf.parameters import ShelfParameters, shelf_folder
from os2d.data.shelf.store import draw_shelf
from tests.documented_commands import RUN
from tests.documents import ROOT

EXPERIMENTS = """
from orchestration.describe import Column, Experiment, Table, Variant, seeds

task = "tests.integration.counting_task:task"
variants = [Variant("{first}"), Variant("RLL", {{"optim.lr": 1}})]
{name} = Experiment("{name}", task, {{"steps": {steps}}}, variants=variants, seeds=seeds(2))
table = Table("{name}", "Counted to", {name}, [Column("value", "value")])

if __name__ == "__main__":
    from orchestration.script import main

    main(__file__)
"""
FEW_PRODUCTS = ShelfParameters(
    train_classes=8, unseen_classes=8, distractors=2, train_images=6, val_images=4, objects=(4, 6)
)
PLACEHOLDERS = {"FILE": "file.py", "TRIAL": "counts/a-seed0"}


@pytest.fixture
def shell(tmp_path: Path):
    """Return a function that types one line in a folder with three files; `oneshot` is this checkout's."""
    for file, name, first, steps in (
        ("file.py", "counts", "a", 4),
        ("losses.py", "losses", "contrastive", 5),
        ("my_experiments.py", "rates", "contrastive", 6),
    ):
        (tmp_path / file).write_text(EXPERIMENTS.format(name=name, first=first, steps=steps))
    for folder in ("docs", "baselines"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, line in (("oneshot", f"{sys.executable} -m orchestration.cli"), ("python", sys.executable)):
        (programs / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        (programs / name).chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ONESHOT_", "MLFLOW_"))}
    environment |= {"PYTHONPATH": str(ROOT), "PATH": f"{programs}:{os.environ['PATH']}", "COLUMNS": "120"}

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True)

    return run


@pytest.mark.cluster
def test_commands_about_trials_work(shell, tmp_path):
    told = {}
    for command in RUN["trials"]:
        line = " ".join(PLACEHOLDERS.get(word, word) for word in command.split(" "))
        done = shell(line)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        told[command] = done.stdout
    assert "slope error" in told["oneshot run docs/examples/own_task.py --launcher local"]
    assert "counted to 4" in told["oneshot logs TRIAL"]
    assert told["oneshot table FILE"].count("(2)") == 2
    assert told["oneshot table FILE --from runs"].count("(2)") == 2
    assert Path(told["oneshot report FILE"].split()[-1]).is_file()
    assert (tmp_path / "runs" / ".launch" / "rates" / "launch.sh").is_file()
    assert (tmp_path / "values.csv").is_file()
    attempts = [len(list((folder / "attempts").glob("[0-9]*"))) for folder in (tmp_path / "runs").glob("?" * 64)]
    assert attempts == [1] * len(attempts)  # whatever asked for a trial again


@pytest.mark.cluster
def test_commands_about_retrieval_work(shell, tmp_path):
    draw_shelf(shelf_folder(tmp_path / "data", ShelfParameters()), FEW_PRODUCTS)
    for command in RUN["retrieval"]:
        done = shell(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert list((tmp_path / "data" / "retrieval").rglob("shelf-train-retrieval-rndCropPerImage10.pkl"))
