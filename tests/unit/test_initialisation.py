"""What a training starts from, saved and evaluated without training."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from yacs.config import CfgNode

from os2d import tasks
from os2d.config import default_config
from os2d.console import ConsoleRun
from os2d.errors import CheckpointError
from tests.small_case import SMALL_NETWORK

MAP = "mAP@0.50_small-val-new-cl"
V1 = {"model.use_inverse_geom_model": False, "model.use_simplified_affine_model": True}
V2 = {"model.use_inverse_geom_model": True, "model.use_simplified_affine_model": False}

MakeConfig = Callable[..., CfgNode]


@pytest.fixture(scope="module")
def make_config(shelf: Path) -> MakeConfig:
    def make(recipe: dict[str, object], seed: int = 3) -> CfgNode:
        values = {
            **SMALL_NETWORK,
            **recipe,
            "random_seed": seed,
            "train.dataset_name": f"custom:{shelf}#train",
            "train.dataset_scale": 112.0,
            "train.class_batch_size": 3,
            "train.augment.train_patch_width": 64,
            "train.augment.train_patch_height": 64,
            "train.optim.max_iter": 1,
            "eval.dataset_names": [f"custom:{shelf}#val-new-cl"],
            "eval.dataset_scales": [112.0],
            "eval.scales_of_image_pyramid": [1.0],
            "runtime.num_workers": 0,
            "runtime.num_threads": 1,
        }
        config = default_config()
        config.merge_from_list([part for item in values.items() for part in item])
        config.freeze()
        return config

    return make


def run(task: str, config: CfgNode, folder: Path, **inputs: Path) -> dict[str, float]:
    with ConsoleRun(folder, config.random_seed, inputs=inputs) as console:
        return dict(getattr(tasks, task)(config, console))


def first_logged(folder: Path) -> dict[str, float]:
    entries = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {name: value for entry in entries if entry["step"] == 0 for name, value in entry["metrics"].items()}


def checkpoint(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return torch.load(folder / "checkpoint_iter_0.pth", weights_only=True)


@pytest.fixture(scope="module")
def initialised(make_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """The folder and the metrics of a V1 network that was initialised."""
    folder = tmp_path_factory.mktemp("initialised")
    return folder, run("initialise", make_config(V1), folder)


def test_it_is_what_a_training_has_before_its_first_step(
    make_config: MakeConfig, initialised: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    folder, metrics = initialised
    run("train", make_config(V1), tmp_path)
    assert (tmp_path / "checkpoint_iter_1.pth").is_file()
    ours, trained = checkpoint(folder), checkpoint(tmp_path)
    assert ours.keys() == trained.keys() == {"net", "optimizer"}
    assert ours["optimizer"] == trained["optimizer"]
    assert list(ours["net"]) == list(trained["net"])
    assert all(torch.equal(ours["net"][key], trained["net"][key]) for key in ours["net"])
    of_training = first_logged(tmp_path)
    assert MAP in metrics
    assert metrics == {name: of_training[name] for name in metrics}


def test_it_logs_at_step_0_and_reports_as_an_evaluation_does(initialised: tuple[Path, dict[str, float]]) -> None:
    folder, metrics = initialised
    logged = first_logged(folder)
    assert metrics == {name: value for name, value in logged.items() if name in metrics}
    assert logged["parameters"] > 0
    assert (folder / "artifacts" / "pictures" / "small-val-new-cl.png").is_file()
    assert (folder / "artifacts" / "per_class" / "small-val-new-cl.csv").is_file()


def test_another_seed_is_another_network(
    make_config: MakeConfig, initialised: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    run("initialise", make_config(V1, seed=4), tmp_path)
    key = "net_feature_maps.conv1.weight"
    assert not torch.equal(checkpoint(tmp_path)["net"][key], checkpoint(initialised[0])["net"][key])


def test_an_evaluation_takes_the_network_that_was_initialised(
    make_config: MakeConfig, initialised: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    folder, metrics = initialised
    evaluated = run("evaluate", make_config(V1, seed=5), tmp_path, model=folder)
    assert evaluated == pytest.approx(metrics)


def test_the_identity_of_v1_can_be_evaluated_with_the_switches_of_v2(
    make_config: MakeConfig, initialised: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    folder, metrics = initialised
    with pytest.raises(CheckpointError, match=r"init\.skip_transform_linear"):
        run("evaluate", make_config(V2), tmp_path / "refused", model=folder)
    identity = {**V2, "init.skip_transform_linear": True}
    evaluated = run("evaluate", make_config(identity), tmp_path / "identity", model=folder)
    assert evaluated == pytest.approx(metrics, abs=1e-5)


def test_training_data_need_not_be_there(make_config: MakeConfig) -> None:
    config = make_config(V1).clone()
    config.defrost()
    config.train.dataset_name = "grozi-train"
    assert list(tasks.initialise.fingerprints(config)) == config.eval.dataset_names
