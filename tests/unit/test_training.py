import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from yacs.config import CfgNode

from os2d import tasks
from os2d.console import ConsoleRun, RunInterruptedError
from os2d.engine.best_model import BestModel
from os2d.engine.skipped_steps import LARGEST_SKIPPED_ROW
from os2d.engine.training import Training
from os2d.errors import CheckpointError, TrainingDivergedError
from tests.tiny_training import config_of, logged

STEPS, EVALUATE_EVERY = 20, 10

KILLED_TRAINING = """
import os, signal, sys
from pathlib import Path
from os2d import tasks
from os2d.config import default_config
from os2d.console import ConsoleRun

class KilledRun(ConsoleRun):
    def progress(self, step, total):
        if step == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)

config = default_config()
config.merge_from_file(sys.argv[1])
with KilledRun(Path(sys.argv[2]), config.random_seed) as run:
    tasks.train(config, run)
"""

Overrides = dict[str, object]
MakeConfig = Callable[..., CfgNode]


@pytest.fixture(scope="session")
def make_config(shelf: Path) -> MakeConfig:
    steps = {"train.optim.max_iter": STEPS, "eval.iter": EVALUATE_EVERY, "output.print_iter": 0}

    def make(**overrides: object) -> CfgNode:
        changed = {name.replace("__", "."): value for name, value in overrides.items()}
        return config_of(shelf, **{**steps, "train.batch_size": 2, **changed})

    return make


def train(config: CfgNode, run: ConsoleRun) -> dict[str, float]:
    with run:
        return dict(tasks.train(config, run))


def network(folder: Path, name: str = f"checkpoint_iter_{STEPS}.pth") -> dict[str, torch.Tensor]:
    return torch.load(folder / name, weights_only=True)["net"]


def assert_equal_networks(first: Path, second: Path) -> None:
    a, b = network(first), network(second)
    assert a.keys() == b.keys()
    different = [name for name in a if not torch.equal(a[name], b[name])]
    assert not different


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, make_config: MakeConfig) -> tuple[Path, dict[str, float]]:
    """The folder and the final metrics of an uninterrupted training."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, train(make_config(), ConsoleRun(folder, seed=3))


def test_training_changes_the_network_and_reports(finished: tuple[Path, dict[str, float]]) -> None:
    folder, metrics = finished
    for kind in ("", "-worst", "-best"):
        assert (folder / f"artifacts/pictures/small-val-new-cl{kind}.png").exists()
    curves = json.loads((folder / "artifacts/precision_recall/small-val-new-cl.json").read_text())["curves"]
    last_map = logged(folder)[STEPS]["mAP@0.50_small-val-new-cl"]
    assert curves["mean_over_classes"]["average_precision"] == pytest.approx(last_map, abs=1e-5)
    assert (folder / "artifacts/per_class/small-val-new-cl.csv").read_text().startswith("iou_threshold,class_id")
    entries = logged(folder)
    last = entries[STEPS]
    assert {"loss_running", "grad_norm_running", "lr_running", "batch_time_running"} <= last.keys()
    assert {0, EVALUATE_EVERY, STEPS} <= {
        step for step, entry in entries.items() if "mAP@0.50_small-val-new-cl" in entry
    }
    assert metrics["mAP@0.50_small-val-new-cl"] == pytest.approx(last["mAP@0.50_small-val-new-cl"])
    assert metrics["best_iteration"] in (0, EVALUATE_EVERY, STEPS)
    assert not any("time" in name for name in metrics)


def kill_training(config: CfgNode, folder: Path, kill_at: int) -> subprocess.CompletedProcess[str]:
    """Train in ``folder / "run"`` in a process of its own that is killed after a step."""
    (folder / "config.yml").write_text(config.dump())
    arguments = [sys.executable, "-c", KILLED_TRAINING, folder / "config.yml", folder / "run", str(kill_at)]
    return subprocess.run(arguments, check=False, capture_output=True, text=True)


def test_killed_and_resumed_equals_uninterrupted(
    tmp_path: Path, make_config: MakeConfig, finished: tuple[Path, dict[str, float]]
) -> None:
    config = make_config()
    killed = kill_training(config, tmp_path, kill_at=EVALUATE_EVERY + 3)
    assert killed.returncode == -9, killed.stderr

    metrics = train(config, ConsoleRun(tmp_path / "run", seed=3))

    assert_equal_networks(tmp_path / "run", finished[0])
    assert metrics == finished[1]


def test_mined_patches_survive_a_kill(tmp_path: Path, make_config: MakeConfig) -> None:
    config = make_config(
        runtime__checkpoint_seconds=1e-6,
        train__mining__do_mining=True,
        train__mining__mine_hard_patches_iter=6,
        train__mining__num_hard_patches_per_image=2,
        train__mining__num_random_negative_classes=2,
        train__optim__max_iter=8,
        eval__iter=8,
    )
    whole = train(config, ConsoleRun(tmp_path / "whole", seed=3))
    assert kill_training(config, tmp_path, kill_at=7).returncode == -9
    assert train(config, ConsoleRun(tmp_path / "run", seed=3)) == whole
    states = [ConsoleRun(tmp_path / name, seed=3).resume() for name in ("whole", "run")]
    mined = [
        [(i, p["role"], p["crop_position_xyxy"].tolist()) for i, patches in s["hard_patches"].items() for p in patches]
        for s in states
        if s is not None
    ]
    assert mined[0] and mined[0] == mined[1]


class StoppedInEvaluation(ConsoleRun):
    """Asked to stop while it evaluates after ``EVALUATE_EVERY`` steps, once the first image is done."""

    asked = 0
    saved_at = -1

    def save(self, state: dict, step: int, name: str | None = None) -> Path:  # type: ignore[override]
        self.saved_at = step if name is None else self.saved_at
        return super().save(state, step, name)

    @property
    def should_stop(self) -> bool:  # type: ignore[override]
        self.asked += self.saved_at == EVALUATE_EVERY
        return self.asked >= 2

    @should_stop.setter
    def should_stop(self, value: bool) -> None:
        pass


def test_an_interrupted_evaluation_is_repeated_alone(
    tmp_path: Path, make_config: MakeConfig, finished: tuple[Path, dict[str, float]]
) -> None:
    config = make_config()
    with pytest.raises(RunInterruptedError):
        train(config, StoppedInEvaluation(tmp_path, seed=3))
    assert max(logged(tmp_path)) == EVALUATE_EVERY
    assert "mAP@0.50_small-val-new-cl" not in logged(tmp_path)[EVALUATE_EVERY]

    resumed = ConsoleRun(tmp_path, seed=3)
    state = resumed.resume()
    assert state is not None and state["iteration"] == EVALUATE_EVERY
    metrics = train(config, resumed)

    assert_equal_networks(tmp_path, finished[0])
    assert metrics == finished[1]
    mine, theirs = logged(tmp_path), logged(finished[0])
    assert mine[EVALUATE_EVERY]["loss_running"] == theirs[EVALUATE_EVERY]["loss_running"]


def test_a_finished_training_is_not_repeated(make_config: MakeConfig, finished: tuple[Path, dict[str, float]]) -> None:
    folder, metrics = finished
    before = (folder / "metrics.jsonl").read_bytes()
    assert train(make_config(), ConsoleRun(folder, seed=3)) == metrics
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_workers_do_not_change_the_result(
    tmp_path: Path, make_config: MakeConfig, finished: tuple[Path, dict[str, float]]
) -> None:
    assert train(make_config(runtime__num_workers=1), ConsoleRun(tmp_path, seed=3)) == finished[1]


def test_evaluation_takes_the_best_network_of_the_training_it_needs(
    make_config: MakeConfig, finished: tuple[Path, dict[str, float]]
) -> None:
    folder, metrics = finished
    with ConsoleRun(None, seed=3, inputs={"model": folder}) as run:
        evaluated = tasks.evaluate(make_config(), run)
    name = "mAP@0.50_small-val-new-cl"
    assert evaluated[name] == pytest.approx(metrics[f"best_{name}"])
    assert evaluated.keys() <= metrics.keys()


def test_evaluation_without_a_trained_network_says_so(tmp_path: Path, make_config: MakeConfig) -> None:
    with (
        ConsoleRun(None, seed=3, inputs={"model": tmp_path}) as run,
        pytest.raises(CheckpointError, match="found neither"),
    ):
        tasks.evaluate(make_config(), run)


def test_steps_without_a_finite_gradient_are_skipped_and_then_given_up(tmp_path: Path, make_config: MakeConfig) -> None:
    config = make_config(eval__iter=100, train__optim__max_iter=100)
    with ConsoleRun(tmp_path, seed=3) as run:
        training = Training(config, run)
        weight = training.model.net_feature_maps.conv1.weight
        with torch.no_grad():
            weight[0, 0, 0, 0] = math.nan
        before = {name: tensor.nan_to_num() for name, tensor in training.model.state_dict().items()}
        batches = training.batches_until_next_event()
        for _ in range(LARGEST_SKIPPED_ROW - 1):
            training.step(next(batches))
        after = training.model.state_dict()
        assert all(torch.equal(before[name], after[name].nan_to_num()) for name in before)
        with pytest.raises(TrainingDivergedError, match=r"train\.optim\.lr"):
            training.step(next(batches))
    (dump,) = tmp_path.glob("error_nan_appeared-*.pth")
    content = torch.load(dump, weights_only=True)
    assert content.keys() == {"batch_data", "state_dict", "optimizer", "cfg", "grad"}


def test_a_lower_learning_rate_goes_on_from_the_best_network(tmp_path: Path, make_config: MakeConfig) -> None:
    config = make_config(
        eval__iter=2,
        train__optim__max_iter=4,
        train__optim__anneal_lr__type="MultiStepLR",
        train__optim__anneal_lr__milestones=[2],
        output__best_model__metric="loss",
        output__best_model__mode="max",  # the worst network is the first one: it is the best for good
    )
    with ConsoleRun(tmp_path, seed=3) as run:
        training = Training(config, run)
        training.evaluate()
        first = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
        for batch in training.batches_until_next_event():
            training.step(batch)
        assert training.best is not None
        training.best.value = math.inf
        training.evaluate()
        assert all(torch.equal(tensor, first[name]) for name, tensor in training.model.state_dict().items())
        for batch in training.batches_until_next_event():
            training.step(batch)
        training.evaluate()
    assert logged(tmp_path)[4]["lr_running"] == pytest.approx(1e-4)


def test_frozen_parts_stay_as_they_are(tmp_path: Path, make_config: MakeConfig) -> None:
    config = make_config(
        eval__iter=100,
        train__optim__max_iter=2,
        train__model__freeze_transform=True,
        train__model__num_frozen_extractor_blocks=2,
    )
    with ConsoleRun(tmp_path, seed=3) as run:
        training = Training(config, run)
        before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
        for batch in training.batches_until_next_event():
            training.step(batch)
        changed = {n for n, tensor in training.model.state_dict().items() if not torch.equal(tensor, before[n])}
    assert changed
    assert all(".layer1.1." in name for name in changed)
    assert not any("running" in name for name in changed)


def test_only_evaluation_when_training_is_off(tmp_path: Path, make_config: MakeConfig) -> None:
    config = make_config(
        train__do_training=False, visualization__eval__path_to_save_detections=str(tmp_path / "detections")
    )
    metrics = train(config, ConsoleRun(tmp_path / "run", seed=3))
    assert "mAP@0.50_small-val-new-cl" in metrics
    assert not list((tmp_path / "run").glob("*.pth"))
    saved = torch.load(tmp_path / "detections" / "small-val-new-cl_detections.pth", weights_only=True)
    assert saved.keys() == {
        *("image_ids", "boxes_xyxy", "labels", "scores"),
        *("gt_boxes_xyxy", "gt_labels", "gt_difficults"),
    }
    assert all(len(values) == len(saved["image_ids"]) for values in saved.values())


@pytest.mark.parametrize(
    ("mode", "old", "new", "better"),
    [
        ("max", None, 0.1, True),
        ("max", 0.1, 0.1, False),
        ("max", 0.1, 0.2, True),
        ("min", 0.1, 0.2, False),
        ("min", 0.2, 0.1, True),
        ("max", math.nan, 0.1, True),
        ("max", 0.1, math.nan, False),
        ("max", None, math.nan, True),
    ],
)
def test_only_a_strictly_better_network_is_the_best(mode: str, old: float | None, new: float, better: bool) -> None:
    assert BestModel("data", "mAP@0.50", mode, old).improves(new) is better
