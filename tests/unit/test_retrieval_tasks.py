"""Preparation, training and whitening of the retrieval network on small generated data."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from yacs.config import CfgNode

from baselines.detector_retrieval import tasks
from baselines.detector_retrieval.retrieval.network import NetworkDescription, build_network
from baselines.detector_retrieval.retrieval.prepared import read_test_set, read_training_set
from baselines.detector_retrieval.retrieval.weights import checkpoint
from os2d.console import ConsoleRun
from os2d.data.shelf.store import draw_shelf
from os2d.run import Task
from tests.small_case import SMALL_SHELF
from tests.unit.folder_contents import files_below
from tests.unit.impatient_run import ImpatientRun, interrupted_again_and_again

NAME = "small-train-retrieval-rndCropPerImage1"
FEW_OBJECTS = replace(SMALL_SHELF, objects=(2, 2), train_images=3, val_images=3)
PICTURE_PX = 8
"""Small enough for most pictures to be of one size, and to pass together."""
TEST_NAME = "small-val-old-cl-retrieval-rndCropPerImage1"


def config_of(task: Task, **values: Any) -> CfgNode:
    config = task.default_config()
    merged = {**values, "runtime.num_workers": 0, "runtime.num_threads": 1}
    config.merge_from_list([part for key, value in merged.items() for part in (key, value)])
    task.validate(config)
    return config


def with_growing_patience(
    task: Task, config: CfgNode, folder: Path, inputs: Mapping[str, Path], seed: int, patience: int
) -> tuple[dict[str, float], int]:
    """Return the metrics of a run that is interrupted until its growing patience suffices, and how often it was."""

    def attempt(interruptions: int) -> dict[str, float]:
        with ImpatientRun(folder, seed=seed, inputs=inputs) as run:
            run.patience = patience * (1 + interruptions)
            return dict(task(config, run))

    return interrupted_again_and_again(attempt)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "small"
    draw_shelf(folder, FEW_OBJECTS)
    return folder


def preparation(shelf: Path, **values: Any) -> CfgNode:
    sets = {"prepare.train": f"custom:{shelf}#train", "prepare.val": f"custom:{shelf}#val-new-cl"}
    tests = {"prepare.tests": [f"custom:{shelf}#val-old-cl"], "prepare.test_scales": [112.0]}
    scales = {"prepare.train_scale": 112.0, "prepare.val_scale": 112.0, "prepare.random_crops": 1}
    return config_of(tasks.retrieval_prepare, **{**sets, **tests, **scales, **values})


@pytest.fixture(scope="module")
def prepared(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    with ConsoleRun(folder, seed=42) as run:
        tasks.retrieval_prepare(preparation(shelf), run)
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose descriptors tell pictures apart, so that tests and losses are no ties."""
    path = tmp_path_factory.mktemp("start") / "start.pth"
    network = build_network(NetworkDescription("resnet18"), torch.Generator().manual_seed(1))
    torch.save(checkpoint(network), path)
    return path


def training(start: Path, **values: Any) -> CfgNode:
    small = {
        "is_cuda": False,
        "data.train": NAME,
        "data.tests": [TEST_NAME],
        "data.image_size": PICTURE_PX,
        "network.arch": "resnet18",
        "network.whitening": True,
        "init.network": str(start),
        "train.epochs": 2,
        "train.queries": 2,
        "train.pool": 12,
        "train.negatives": 2,
        "train.batch_size": 2,
        "train.lr": 1e-4,
        "eval.after_last_epoch": True,
    }
    return config_of(tasks.retrieval_train, **{**small, **values})


@pytest.fixture(scope="module")
def trained(prepared: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp("trained")
    with ConsoleRun(folder, seed=5, inputs={"data": prepared}) as run:
        return folder, dict(tasks.retrieval_train(training(start), run))


def test_interrupted_preparation_writes_the_same_files(shelf: Path, prepared: Path, tmp_path: Path) -> None:
    _, interruptions = with_growing_patience(
        tasks.retrieval_prepare, preparation(shelf), tmp_path, {}, seed=42, patience=2
    )

    assert interruptions > 1
    assert files_below(tmp_path / "retrieval_data") == files_below(prepared / "retrieval_data")


def test_a_validation_picture_does_not_replace_one_of_the_training_set(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    for seed, folder in enumerate(folders):
        draw_shelf(folder, replace(FEW_OBJECTS, seed=seed))
    sets = {"prepare.train": f"custom:{folders[0]}#train", "prepare.val": f"custom:{folders[1]}#train"}
    config = preparation(folders[0], **sets, **{"prepare.tests": [], "prepare.random_crops": 0})
    with ConsoleRun(tmp_path / "run", seed=42) as run:
        tasks.retrieval_prepare(config, run)
    root = tmp_path / "run" / "retrieval_data"
    train, validation = (read_training_set(root, "one-train-retrieval", part) for part in ("train", "val"))

    assert any(file.name.startswith("val_") for file in validation.files)
    assert not set(train.files) & set(validation.files)
    for pictures in (train, validation):
        assert all(file.is_file() for file in pictures.files)


def test_prepared_files_are_the_pictures_that_the_lists_name(prepared: Path) -> None:
    root = prepared / "retrieval_data"
    sets = [read_training_set(root, NAME, part) for part in ("train", "val")]
    test = read_test_set(root, TEST_NAME)

    for files in (*(s.files for s in sets), test.files, test.query_files):
        for file in files:
            with Image.open(file) as image:
                assert image.format == "JPEG"
    for pictures in sets:
        queries, positives = pictures.cluster_N[pictures.query_M], pictures.cluster_N[pictures.positive_M]
        torch.testing.assert_close(queries, positives)
    assert all(Path(file).suffix == ".jpg" for file in test.files)


def test_interrupted_training_equals_uninterrupted(
    prepared: Path, start: Path, trained: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    whole, metrics = trained
    torn, interruptions = with_growing_patience(
        tasks.retrieval_train, training(start), tmp_path, {"data": prepared}, seed=5, patience=12
    )

    assert interruptions > 2
    assert torn == metrics
    assert metrics["best_epoch"] >= 0
    for name in ("model_best.pth.tar", "model_epoch0.pth.tar"):
        ours, theirs = (torch.load(folder / name, weights_only=True) for folder in (tmp_path, whole))
        torch.testing.assert_close(ours["state_dict"], theirs["state_dict"], rtol=0, atol=0)
    states = [ConsoleRun(folder, seed=5).resume() for folder in (tmp_path, whole)]
    assert states[0] is not None
    assert states[1] is not None
    torch.testing.assert_close(states[0]["net"], states[1]["net"], rtol=0, atol=0)


def test_no_epochs_keep_the_initial_network_tested(prepared: Path, start: Path, tmp_path: Path) -> None:
    config = training(start, **{"train.epochs": 0, "eval.after_last_epoch": False})
    with ConsoleRun(tmp_path, seed=5, inputs={"data": prepared}) as run:
        metrics = tasks.retrieval_train(config, run)

    assert metrics["best_epoch"] == 0
    assert metrics[f"best_mAP_{TEST_NAME}"] == metrics[f"mAP_{TEST_NAME}"]
    kept, begun = (torch.load(path, weights_only=True) for path in (tmp_path / "model_best.pth.tar", start))
    torch.testing.assert_close(
        kept["state_dict"]["features.0.weight"], begun["state_dict"]["features.0.weight"], rtol=0, atol=0
    )


def test_training_learns_and_keeps_the_layout_of_the_toolbox(trained: tuple[Path, dict[str, float]]) -> None:
    folder, _ = trained
    content = torch.load(folder / "model_epoch0.pth.tar", weights_only=True)
    state = ConsoleRun(folder, seed=5).resume()

    assert set(content) == {"epoch", "meta", "state_dict", "max_meter", "optimizer"}
    assert content["meta"]["outputdim"] == 512
    assert content["meta"]["architecture"] == "resnet18"
    assert {"features.0.weight", "features.7.1.bn2.running_var", "pool.p", "whiten.bias"} <= set(content["state_dict"])
    assert state is not None
    for key in ("features.0.weight", "features.1.weight", "pool.p", "whiten.weight"):
        assert not torch.equal(state["net"][key], content["state_dict"][key])
    running = "features.1.running_mean"
    torch.testing.assert_close(state["net"][running], content["state_dict"][running])


def test_whitening_is_learned_at_one_and_at_several_scales(
    prepared: Path, trained: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    values = {"is_cuda": False, "data.train": NAME, "data.tests": [TEST_NAME], "data.image_size": PICTURE_PX}
    config = config_of(tasks.retrieval_whiten, **values)
    inputs = {"data": prepared, "retrieval": trained[0]}
    metrics, interruptions = with_growing_patience(
        tasks.retrieval_whiten, config, tmp_path, inputs, seed=0, patience=10
    )

    assert interruptions
    learned = torch.load(tmp_path / "whitening.pth", weights_only=True)
    assert set(learned) == {"ss", "ms"}
    assert {name: tuple(part.shape) for name, part in learned["ms"].items()} == {"m": (512, 1), "P": (512, 512)}
    assert all(torch.isfinite(part).all() for kind in learned.values() for part in kind.values())
    assert set(metrics) == {f"mAP{w}_{k}_{TEST_NAME}" for w in ("", "_whitened") for k in ("ss", "ms")}
