"""A training that is interrupted at every place where it can be ends like one that is not."""

from pathlib import Path

import pytest
import torch
from yacs.config import CfgNode

from os2d import tasks
from os2d.console import ConsoleRun
from os2d.engine.optimisation import set_lr
from os2d.engine.training import Training
from os2d.engine.training_step import TrainingStep
from os2d.train_log import read_train_log
from tests.tiny_training import config_of
from tests.unit.impatient_run import ImpatientRun, interrupted_again_and_again

QUESTIONS = 4
"""An attempt is interrupted when it asks so often whether to stop: an evaluation asks twice, mining once per batch."""


def everything(shelf: Path, output: Path, **overrides: object) -> CfgNode:
    """Mining, a learning rate that drops with the best network reloaded, accumulation, fp16 with its scaler."""
    values: dict[str, object] = {
        "train.precision": "fp16",
        "train.accumulation_steps": 2,
        "train.optim.max_iter": 5,
        "eval.iter": 2,
        "train.mining.do_mining": True,
        "train.mining.mine_hard_patches_iter": 3,
        "train.mining.num_hard_patches_per_image": 2,
        "train.mining.num_random_negative_classes": 2,
        "train.optim.anneal_lr.type": "MultiStepLR",
        "train.optim.anneal_lr.milestones": [2],
        "output.path": str(output),
        "output.print_iter": 0,
    }
    return config_of(shelf, **{**values, **overrides})


def network(folder: Path, iteration: int) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"checkpoint_iter_{iteration}.pth", weights_only=True)["net"]


PLATEAU = {
    "train.optim.anneal_lr.type": "ReduceLROnPlateau",
    "train.optim.anneal_lr.quantity_to_monitor": "mAP@0.50_small-val-new-cl",
    "train.optim.anneal_lr.patience": 0,
    "train.optim.anneal_lr.initial_patience": 0,
    "train.optim.anneal_lr.cooldown": 0,
    "train.optim.anneal_lr.quantity_smoothness": 2,
    "train.precision": "bf16",
}


@pytest.mark.parametrize("changed", [{}, PLATEAU], ids=["steps", "plateau"])
def test_interrupted_everywhere_equals_uninterrupted(changed: dict[str, object], shelf: Path, tmp_path: Path) -> None:
    with ConsoleRun(tmp_path / "whole", seed=3) as run:
        whole = tasks.train(everything(shelf, tmp_path / "whole", **changed), run)

    config = everything(shelf, tmp_path / "torn", **changed)
    while_mining = []

    def attempt(interruptions: int) -> object:
        state = ConsoleRun(tmp_path / "torn", seed=3).resume()
        assert (state is not None) == bool(interruptions)
        while_mining.append(state is not None and bool(state["unfinished_search"]))
        with ImpatientRun(tmp_path / "torn", seed=3) as run:
            run.patience = QUESTIONS
            return tasks.train(config, run)

    torn, interruptions = interrupted_again_and_again(attempt)

    assert interruptions > 2 and any(while_mining)
    assert torn == whole
    one, two = network(tmp_path / "whole", 5), network(tmp_path / "torn", 5)
    assert [key for key in one if not torch.equal(one[key], two[key])] == []
    a, b = (read_train_log(tmp_path / name) for name in ("whole", "torn"))
    assert a["iter"] == b["iter"] == [0, 2, 4, 5]
    assert a["lr_running"] == b["lr_running"]
    if not changed:
        assert a["lr_running"][-1] == pytest.approx(1e-4)
    assert torch.equal(torch.tensor(a["loss_running"]).nan_to_num(), torch.tensor(b["loss_running"]).nan_to_num())


def test_an_overflow_of_the_scaled_gradient_is_no_failure(shelf: Path, tmp_path: Path) -> None:
    config = config_of(shelf, train__precision="fp16", eval__iter=100)
    with ConsoleRun(tmp_path, seed=3) as run:
        training = Training(config, run)
        assert training.scaler is not None
        training.scaler.load_state_dict({**training.scaler.state_dict(), "scale": 2.0**120})
        for batches in training.batches_until_next_event():
            before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
            training.step(batches)
            if training.scaler.get_scale() < 2.0**120:
                break
        assert training.scaler.get_scale() == 2.0**119
        assert all(torch.equal(tensor, before[name]) for name, tensor in training.model.state_dict().items())
        assert training.skipped.total == 0 and not list(tmp_path.glob("error_nan_appeared-*"))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_learns_the_same(precision: str, shelf: Path, tmp_path: Path) -> None:
    losses = {}
    for name in ("fp32", precision):
        with ConsoleRun(tmp_path / name, seed=3) as run:
            training = Training(config_of(shelf, train__precision=name, eval__iter=100), run)
            for batches in training.batches_until_next_event():
                training.step(batches)
            losses[name] = training.meters.mean("loss")
    assert losses[precision] == pytest.approx(losses["fp32"], rel=0.05)
    assert losses[precision] != losses["fp32"]


def test_accumulated_batches_give_the_mean_gradient(shelf: Path, tmp_path: Path) -> None:
    gradients = []
    with ConsoleRun(tmp_path, seed=3) as run:
        training = Training(config_of(shelf, train__accumulation_steps=2, eval__iter=100), run)
        from_both = next(training.batches_until_next_event())
        assert len(from_both) == 2
        step = TrainingStep(training.model, training.optimizer, training.objective, training.config.train)
        for batches in ([from_both[0]], [from_both[1]], from_both):
            step.compute_gradients(batches)
            gradients.append(training.model.net_feature_maps.conv1.weight.grad.clone())
    torch.testing.assert_close(gradients[2], (gradients[0] + gradients[1]) / 2)


def test_a_resumed_training_follows_a_changed_learning_rate_as_far_as_it_was_annealed(
    shelf: Path, tmp_path: Path
) -> None:
    first = config_of(shelf, train__optim__lr=1e-3, train__optim__weight_decay=0.0)
    changed = config_of(shelf, train__optim__lr=2e-3, train__optim__weight_decay=1e-2)
    with ConsoleRun(tmp_path, seed=3) as run:
        training = Training(first, run)
        for batches in training.batches_until_next_event():
            training.step(batches)
        set_lr(training.optimizer, 1e-4)  # annealed to a tenth
        state = training.state_dict()
        same, other = Training(first, run), Training(changed, run)
        same.load_state_dict(state)
        other.load_state_dict(state)
    (group,) = other.optimizer.param_groups
    assert group["lr"] == pytest.approx(2e-4)
    assert group["weight_decay"] == 1e-2
    assert same.optimizer.state_dict()["param_groups"] == training.optimizer.state_dict()["param_groups"]
    momenta = [training.optimizer.state[p]["momentum_buffer"] for p in training.optimizer.param_groups[0]["params"]]
    resumed = [other.optimizer.state[p]["momentum_buffer"] for p in group["params"]]
    assert all(map(torch.equal, momenta, resumed)) and any(m.abs().max() > 0 for m in momenta)
