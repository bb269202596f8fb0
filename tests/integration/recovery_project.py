"""Real OS2D trainings of a few seconds that failures hit, and what they must end with whatever happened to them."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestration.journal import TrialFolder
from tests.integration.oneshot_project import Project
from tests.small_case import draw_small_shelf
from tests.unit.trial_folders import put_empty_store

FILE = """
from orchestration.describe import Experiment, Resources
from tests.small_case import SMALL_NETWORK

CONFIG = {{
    **SMALL_NETWORK,
    "train.dataset_name": "custom:{shelf}#train",
    "train.dataset_scale": 112.0,
    "train.batch_size": 3,
    "train.class_batch_size": 3,
    "train.augment.train_patch_width": 64,
    "train.augment.train_patch_height": 64,
    "train.mining.do_mining": True,
    "train.mining.mine_hard_patches_iter": 4,
    "train.mining.num_hard_patches_per_image": 2,
    "train.mining.num_random_negative_classes": 2,
    "train.optim.lr": 1e-3,
    "train.optim.max_iter": 8,
    "train.optim.anneal_lr.type": "MultiStepLR",
    "train.optim.anneal_lr.milestones": [4],
    "eval.iter": 3,
    "eval.dataset_names": ["custom:{shelf}#val-new-cl"],
    "eval.dataset_scales": [112.0],
    "eval.scales_of_image_pyramid": [1.0],
    "output.best_model.do_get_best_model": True,
    "output.print_iter": 0,
    "output.save_iter": 0,
    "runtime.num_workers": 0,
    "runtime.num_threads": 1,
    "runtime.checkpoint_seconds": 1e-6,
}}


def describe(trials: int = 2, hours: float = 0.0):
    resources = Resources(memory_gb=1.5, hours=hours or None)
    yield Experiment("recovery", "os2d.tasks:train", CONFIG, seeds=trials, resources=resources)
"""
"""Eight steps with four evaluations, two minings, the best network reloaded when the learning rate drops, and a
checkpoint after every step."""

MOST_TRIALS = 3


class TrainingProject(Project):
    """A folder with a file that describes trainings on a data set elsewhere, and the runs of it."""

    def __init__(self, folder: Path, shelf: Path) -> None:
        super().__init__(folder)
        self.file.write_text(FILE.format(shelf=shelf))

    def endings(self) -> dict[str, dict[str, Any]]:
        """Return signature -> what a training left behind, in values that can be compared bit for bit."""
        return {folder.signature: ending_of(folder) for folder in self.runs.folders()}

    def wait_until_logged(self, lines: int, seconds: float = 300) -> None:
        """Wait until so many more lines of metrics were written; a training starts slowly on a busy machine."""
        super().wait_until_logged(lines, seconds)

    def wait_for_checkpoints(self, trials: int, seconds: float = 300) -> list[Path]:
        """Wait until so many trainings saved something; return the folders of their checkpoints."""
        deadline = time.monotonic() + seconds
        while len(saved := {file.parent for file in self.runs.root.glob("*/checkpoints/step_*.pth")}) < trials:
            if time.monotonic() > deadline:
                pytest.fail(f"not {trials} trainings with a checkpoint within {seconds} s")
            time.sleep(0.02)
        return sorted(saved)

    def longest_attempt(self) -> float:
        """Return how many seconds the longest of the attempts that ended took."""
        attempts = [attempt for folder in self.runs.folders() for attempt in folder.attempts()]
        return max((one.ended_ms - one.started_ms) / 1000 for one in attempts if one.ended_ms)


@dataclass(frozen=True)
class Undisturbed:
    """What the trainings end with when nothing happens to them.

    Args:
        shelf: the data set they read.
        endings: signature -> what is left behind.
        seconds: one of them took, its start included.
    """

    shelf: Path
    endings: dict[str, dict[str, Any]]
    seconds: float

    def project(self, folder: Path) -> TrainingProject:
        """Return a folder for the same trainings."""
        return TrainingProject(folder, self.shelf)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The reference: each training once, without a failure; one for all tests of a session."""
    shelf = draw_small_shelf(tmp_path_factory.mktemp("recovery-data") / "shelf")
    project = TrainingProject(tmp_path_factory.mktemp("undisturbed"), shelf)
    code, out = project.run("file.py", "--trials", str(MOST_TRIALS), "--cpus", "2")
    assert code == 0, out
    assert project.outcomes() == ["ok"] * MOST_TRIALS
    took = [
        (attempt.ended_ms - attempt.started_ms) / 1000
        for folder in project.runs.folders()
        for attempt in folder.attempts()
    ]
    return Undisturbed(shelf, project.endings(), max(took))


def ending_of(folder: TrialFolder) -> dict[str, Any]:
    """Return everything of a finished trial that does not depend on the clock."""
    result = folder.result()
    assert result is not None, f"{folder.trial.name}: no result"
    return {
        "result": dict(result.metrics),
        "metrics": [(point.name, point.step, point.value) for point in folder.metrics() if "time" not in point.name],
        "checkpoints": {path.name: _digest(path) for path in sorted(folder.checkpoints.glob("*.pth"))},
        "per class": {path.name: path.read_text() for path in folder.artifacts.glob("per_class/*.csv")},
    }


def require_complete(project: TrainingProject, undisturbed: Undisturbed, allowed: Collection[str]) -> None:
    """Fail unless every training ended as if nothing had happened, and everything that happened is on record.

    Args:
        project: whose launches have ended.
        undisturbed: what to compare with.
        allowed: outcomes of attempts before the last one of each trial, which must be ``ok``.
    """
    endings = project.endings()
    assert endings == {signature: undisturbed.endings[signature] for signature in endings}
    for folder in project.runs.folders():
        *before, last = [str(attempt.outcome) for attempt in folder.attempts()]
        assert last == "ok", (before, last)
        assert set(before) <= set(allowed), before
        require_one_writer_at_a_time(folder)
    require_finished_in_mlflow(project)


def require_one_writer_at_a_time(folder: TrialFolder) -> None:
    """Fail when a worker logged something after the next one had; no clock is asked."""
    for file in (folder.metrics_file, folder.events_file):
        writers = []
        for line in file.read_bytes().splitlines():
            try:
                writers.append(json.loads(line)["attempt"])
            except ValueError:  # a torn line
                continue
        assert all(one <= other for one, other in itertools.pairwise(writers)), (file.name, writers)


def require_finished_in_mlflow(project: Project) -> None:
    """Fail unless a sync leaves one finished run per trial, with the metrics of its folder."""
    from orchestration.tracking.mlflow_store import MlflowStore
    from orchestration.tracking.store_location import StoreLocation
    from orchestration.tracking.sync import sync

    store = project.folder / "store"  # beside the runs, which may lie on a disk that is to be unmounted
    put_empty_store(store)
    location = StoreLocation.resolve(store, None)
    report = sync(project.runs.root, tracking_uri=location.uri)
    assert report.problems == ()
    assert sync(project.runs.root, tracking_uri=location.uri).points == 0
    runs = MlflowStore(location).runs({"oneshot.kind": "trial"})
    assert [run.status for run in runs] == ["FINISHED"] * len(project.runs.folders())


def workers_of(launch: int) -> list[int]:
    """Return the worker processes below a launch, those that start and have no claim yet among them."""
    try:
        below = psutil.Process(launch).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [process.pid for process in below if _is_worker(process)]


def wait_for_workers(launch: subprocess.Popen[str], count: int = 1, seconds: float = 240) -> list[int]:
    """Wait until a launch has so many workers, and return them; one that ends without them is a failure."""
    deadline = time.monotonic() + seconds
    while len(workers := workers_of(launch.pid)) < count:
        if launch.poll() is not None:
            pytest.fail(f"the launch ended without {count} workers: {launch.communicate()[0]}")
        if time.monotonic() > deadline:
            pytest.fail(f"not {count} workers within {seconds} s")
        time.sleep(0.05)
    return workers


def _is_worker(process: psutil.Process) -> bool:
    try:
        line = process.cmdline()
        return "orchestration.trial" in line and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _digest(path: Path) -> str:
    """Return a hash of a checkpoint's values; how torch arranges them in the file is not compared."""
    import torch

    whole = sha256()

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            whole.update(f"{value.dtype}{tuple(value.shape)}".encode())
            whole.update(value.contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            for key, item in value.items():
                if key != "seconds" and "time" not in str(key):  # how long the training and its parts took
                    whole.update(repr(key).encode())
                    add(item)
        elif isinstance(value, list | tuple):
            for item in value:
                add(item)
        else:
            whole.update(repr(value).encode())

    add(torch.load(path, map_location="cpu", weights_only=True))
    return whole.hexdigest()


if __name__ == "__main__":  # to look at one: recovery_project.py FOLDER
    print(json.dumps({path.name: ending_of(TrialFolder(path)) for path in map(Path, sys.argv[1:])}, indent=1))
