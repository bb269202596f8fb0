"""A training of CoAE that is interrupted wherever it can be ends like one that is not."""

import math
from pathlib import Path

import pytest
import torch

from baselines.coae import tasks
from baselines.coae.engine.schedule import Schedule
from baselines.coae.engine.training import Training
from baselines.coae.modeling.weights import load_init_model
from os2d.console import ConsoleRun
from os2d.errors import CheckpointError
from tests.coae_case import config_of
from tests.unit.impatient_run import ImpatientRun, interrupted_again_and_again


@pytest.fixture(scope="module")
def trained(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    with ConsoleRun(folder, seed=3) as run:
        return folder, dict(tasks.train(config_of(shelf), run))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "best_model_1.pth", weights_only=True)["model"]


def last_state(folder: Path) -> dict[str, object]:
    state = ConsoleRun(folder, seed=3).resume()
    assert state is not None
    return dict(state)


def test_interrupted_everywhere_equals_uninterrupted(
    shelf: Path, trained: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    folder, whole = trained

    def attempt(_: int) -> object:
        with ImpatientRun(tmp_path, seed=3) as run:
            return tasks.train(config_of(shelf), run)

    torn, interruptions = interrupted_again_and_again(attempt)

    assert interruptions > 1
    assert torn == whole
    one, two = last_state(folder)["model"], last_state(tmp_path)["model"]
    assert [key for key in one if not torch.equal(one[key], two[key])] == []
    assert all(torch.equal(a, b) for a, b in zip(weights(folder).values(), weights(tmp_path).values(), strict=True))


def test_metrics_checkpoints_and_artifacts_of_a_training(trained: tuple[Path, dict[str, float]]) -> None:
    folder, metrics = trained
    assert {"mAP@0.50_small-val-new-cl", "recall@0.50_small-val-new-cl", "best_iteration"} <= set(metrics)
    assert all(math.isfinite(value) for value in metrics.values())
    content = torch.load(folder / "best_model_1.pth", weights_only=True)
    assert set(content) == {"session", "epoch", "model", "optimizer", "pooling_mode", "class_agnostic"}
    assert {"match_net.g.weight", "RCNN_base.0.weight", "RCNN_top.0.0.conv1.weight"} <= set(content["model"])
    assert (folder / "artifacts" / "per_class" / "small-val-new-cl.csv").is_file()
    assert (folder / "artifacts" / "pictures" / "small-val-new-cl.png").is_file()
    assert (folder / "artifacts" / "pictures" / "small-val-new-cl-worst.png").is_file()
    assert (folder / "artifacts" / "precision_recall" / "small-val-new-cl.json").is_file()


def test_the_learning_rate_drops_before_its_milestone(trained: tuple[Path, dict[str, float]]) -> None:
    groups = last_state(trained[0])["optimizer"]["param_groups"]  # type: ignore[index]
    assert [group["lr"] for group in groups] == pytest.approx([1e-4] * len(groups))
    assert {group["weight_decay"] for group in groups} == {0.0, 1e-4}


def test_the_evaluation_task_takes_the_network_of_a_training(
    shelf: Path, trained: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    folder, metrics = trained
    config = config_of(shelf)
    with ConsoleRun(tmp_path, seed=3, inputs={"model": folder}) as run:
        found = tasks.evaluate(config, run)
    name = "mAP@0.50_small-val-new-cl"
    assert found[name] == pytest.approx(metrics[f"best_{name}"], abs=1e-6)


def test_all_classes_can_be_searched(shelf: Path, trained: tuple[Path, dict[str, float]]) -> None:
    config = config_of(shelf, eval__searched_classes="all", eval__class_image_augmentation="rotation90")
    with ConsoleRun(None, seed=3, inputs={"model": trained[0]}) as run:
        everywhere = tasks.evaluate(config, run)
    assert 0 <= everywhere["mAP@0.50_small-val-new-cl"] <= 1


def test_a_checkpoint_of_another_network_is_refused_with_its_keys(
    shelf: Path, trained: tuple[Path, dict[str, float]]
) -> None:
    with ConsoleRun(None, seed=3) as run:
        training = Training(config_of(shelf, model__anchor_scales=[1.0]), run)
        before = {key: value.clone() for key, value in training.model.state_dict().items()}
        with pytest.raises(CheckpointError, match=r"model\.anchor_scales.*RCNN_rpn\.RPN_cls_score"):
            load_init_model(training.model, trained[0] / "best_model_1.pth")
        assert all(torch.equal(value, before[key]) for key, value in training.model.state_dict().items())


def test_evaluations_come_before_epochs_of_the_interval_and_at_the_end() -> None:
    schedule = Schedule(epochs=25, steps_per_epoch=4, evaluate_before=10, milestones=(15,))
    assert [epoch for epoch in range(26) if schedule.evaluates_after(epoch)] == [9, 19, 25]
    assert [schedule.next_event(step) for step in (0, 35, 36, 56, 76)] == [36, 36, 56, 76, 100]
