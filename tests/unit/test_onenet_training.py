import json
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from baselines.onenet import tasks, train_net
from baselines.onenet.data.catalog import DatasetSource
from baselines.onenet.engine.averaging import WeightAverage
from baselines.onenet.engine.optimisation import build_optimizer, clipping
from baselines.onenet.engine.schedule import lr_factor
from baselines.onenet.engine.start_weights import FINAL, trained_checkpoint
from baselines.onenet.modeling.model import build_model
from baselines.onenet.published_folder import PublishedFolder
from os2d.errors import CheckpointError, ConfigError, DeviceError, TrainingDivergedError
from tests.unit.impatient_run import Impatient, interrupted_again_and_again
from tests.unit.onenet_dataset import annotation, config_for, write_coco

QUESTIONS = 4
"""An attempt is interrupted when it asks so often whether to stop: it asks after every iteration and tested image."""

SMALL_NETWORK = {
    "MODEL.BACKBONE.NAME": "build_mobilenet_backbone",
    "MODEL.BACKBONE.FREEZE_AT": 0,
    "MODEL.MOBILENET.NAME": "mobilenet_v3_small",
    "MODEL.OneNet.DCN": False,
    "MODEL.OneNet.DECONV_CHANNEL": [96, 16, 16, 16],
}


class ImpatientFolder(Impatient, PublishedFolder):
    """Asked to stop soon after it starts."""

    patience = QUESTIONS


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DatasetSource:
    images = {1: (64, 48), 2: (64, 48), 3: (48, 64)}
    annotations = [annotation(10 + id, id, 1, [8, 6, 30, 25]) for id in (1, 2)]  # the third shows nothing
    return write_coco(tmp_path_factory.mktemp("tiny"), images, annotations, {1: "cell"})


def small_config(source: DatasetSource, output: Path, **overrides: object) -> CfgNode:
    """One class, an image without objects, and everything on that has a state."""
    config = config_for(source, classes=1)
    values: dict[str, object] = {
        **SMALL_NETWORK,
        "MODEL.EMA.ENABLED": True,
        "INPUT.MIN_SIZE_TRAIN": (48, 64),
        "INPUT.MIN_SIZE_TEST": 48,
        "SOLVER.IMS_PER_BATCH": 2,
        "SOLVER.MAX_ITER": 5,
        "SOLVER.BASE_LR": 1e-3,
        "SOLVER.WARMUP_ITERS": 2,
        "SOLVER.STEPS": (4,),
        "SOLVER.AMP.ENABLED": True,
        "SOLVER.AMP.PRECISION": "bf16",
        "TEST.EVAL_PERIOD": 2,
        "OUTPUT_DIR": str(output),
    }
    config.merge_from_list([part for item in {**values, **overrides}.items() for part in item])
    return config


def trained(config: CfgNode, run: PublishedFolder) -> dict[str, float]:
    tasks.train.validate(config)
    return dict(tasks.train(config, run))


@pytest.fixture(scope="module")
def finished(source: DatasetSource, tmp_path_factory: pytest.TempPathFactory) -> tuple[CfgNode, Path, dict[str, float]]:
    """An uninterrupted training: its configuration, folder and metrics."""
    folder = tmp_path_factory.mktemp("whole")
    config = small_config(source, folder)
    with PublishedFolder(folder, config.SEED) as run:
        return config, folder, trained(config, run)


def checkpoint(folder: Path) -> dict[str, object]:
    return torch.load(folder / FINAL, weights_only=True)


def assert_same(first: object, second: object, where: str = "") -> None:
    if isinstance(first, Tensor):
        assert isinstance(second, Tensor)
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert isinstance(second, dict)
        assert first.keys() == second.keys(), where
        for key, value in first.items():
            assert_same(value, second[key], f"{where}.{key}")
    else:
        assert first == second or (first != first and second != second), where  # nan: nothing to measure it by


def test_interrupted_everywhere_equals_uninterrupted(
    finished: tuple[CfgNode, Path, dict[str, float]], source: DatasetSource, tmp_path: Path
) -> None:
    _, whole_folder, whole = finished
    config = small_config(source, tmp_path)

    def attempt(interruptions: int) -> dict[str, float]:
        assert bool(list((tmp_path / "checkpoints").glob("step_*.pth"))) == bool(interruptions)
        with ImpatientFolder(tmp_path, config.SEED) as run:
            return trained(config, run)

    torn, interruptions = interrupted_again_and_again(attempt)

    assert interruptions > 2
    assert_same(torn, whole)
    assert_same(checkpoint(tmp_path), checkpoint(whole_folder))


def test_the_folder_is_that_of_the_published_program(finished: tuple[CfgNode, Path, dict[str, float]]) -> None:
    config, folder, metrics = finished
    state = checkpoint(folder)
    assert {"model", "optimizer", "scheduler", "iteration"} <= state.keys()
    assert state["iteration"] == config.SOLVER.MAX_ITER - 1
    assert (folder / "last_checkpoint").read_text() == FINAL
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    assert [line["iteration"] for line in lines if "total_loss" in line] == [config.SOLVER.MAX_ITER - 1]
    assert {"loss_ce", "loss_bbox", "loss_giou", "lr", "time", "data_time"} <= lines[-2].keys()
    assert metrics["AP_tiny"] == lines[-1]["AP_tiny"]


def test_a_finished_training_is_evaluated_by_its_folder(finished: tuple[CfgNode, Path, dict[str, float]]) -> None:
    config, folder, metrics = finished
    assert trained_checkpoint(folder) == folder / FINAL
    with PublishedFolder(None, config.SEED, inputs={"model": folder}) as run:
        assert_same(dict(tasks.evaluate(config, run)), metrics)


def test_a_checkpoint_of_the_published_program_is_resumed(
    finished: tuple[CfgNode, Path, dict[str, float]], source: DatasetSource, tmp_path: Path
) -> None:
    theirs = {key: value for key, value in checkpoint(finished[1]).items() if key != "training"}
    torch.save(theirs, tmp_path / "model_0000004.pth")
    (tmp_path / "last_checkpoint").write_text("model_0000004.pth")
    config = small_config(source, tmp_path, **{"SOLVER.MAX_ITER": 6, "MODEL.EMA.ENABLED": False, "TEST.EVAL_PERIOD": 0})
    with PublishedFolder(tmp_path, config.SEED) as run:
        trained(config, run)
    after = checkpoint(tmp_path)
    assert after["iteration"] == 5
    steps = {float(state["step"]) for state in after["optimizer"]["state"].values()}  # type: ignore[index]
    assert steps == {6.0}


def test_a_training_that_diverges_ends_with_advice(source: DatasetSource, tmp_path: Path) -> None:
    config = small_config(source, tmp_path, **{"SOLVER.BASE_LR": 1e30})
    with (
        pytest.raises(TrainingDivergedError, match=r"iteration \d: .*not a finite number.*lower SOLVER\.BASE_LR"),
        PublishedFolder(tmp_path, config.SEED) as run,
    ):
        trained(config, run)


def test_the_weights_of_a_head_for_one_class_are_random(source: DatasetSource, tmp_path: Path) -> None:
    """The published program once set every weight whose last side is the number of classes to the bias of the prior."""
    model = build_model(small_config(source, tmp_path))
    assert all(p.std() > 0 for name, p in model.named_parameters() if p.ndim == 4 and name.startswith("head"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("SOLVER.OPTIMIZER", "LION", r"SOLVER\.OPTIMIZER: expected one of ADAMW, SGD"),
        ("SOLVER.BASE_LR", -1.0, r"SOLVER\.BASE_LR: expected a positive number, got -1\.0"),
        ("SOLVER.STEPS", (5, 3), r"SOLVER\.STEPS: expected rising iterations, got \(5, 3\)"),
        ("SOLVER.AMP.PRECISION", "int8", r"SOLVER\.AMP\.PRECISION: expected one of fp16, bf16"),
        ("MODEL.EMA.DECAY", 1.5, r"MODEL\.EMA\.DECAY: expected a number from 0 to below 1"),
        ("MODEL.DEVICE", "gpu", r"MODEL\.DEVICE: expected cuda, cuda:N or cpu, got 'gpu'"),
        ("DATASETS.TRAIN", (), r"DATASETS\.TRAIN: expected at least one data set"),
        ("DATASETS.TEST", ("cocoo",), r"unknown data set 'cocoo'"),
        ("DATASETS.TEST", ("tiny", "tiny"), r"DATASETS\.TEST: expected data sets of different names, got 'tiny' twice"),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(
    key: str, value: object, message: str, source: DatasetSource, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        tasks.train.validate(small_config(source, tmp_path, **{key: value}))


def test_the_command_line(
    finished: tuple[CfgNode, Path, dict[str, float]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, folder, metrics = finished
    file = tmp_path / "tiny.yaml"
    file.write_text(config.dump())
    arguments = ["--config-file", str(file), "--eval-only", "MODEL.WEIGHTS", str(folder / FINAL)]
    assert train_net.main([*arguments, "OUTPUT_DIR", str(tmp_path / "out"), "TEST.MEASURE_SPEED", "True"]) == 0
    told = (tmp_path / "out" / "log.txt").read_text()
    assert f"AP_tiny {metrics['AP_tiny']:.4f}" in told and "frames_per_second " in told
    assert json.loads((tmp_path / "out" / "machine.json").read_text())["device"]
    assert (tmp_path / "out" / "config.yaml").is_file()
    assert train_net.main(["--config-file", str(file), "--num-gpus", "3"]) == 2
    assert "SOLVER.IMS_PER_BATCH: expected a multiple of the 3 processes, got 2" in capsys.readouterr().err
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert train_net.main([*arguments, "MODEL.DEVICE", "cuda", "OUTPUT_DIR", str(tmp_path / "out")]) == 2
    assert f"MODEL.DEVICE: cuda, but torch {torch.__version__} finds no usable GPU" in capsys.readouterr().err
    assert DeviceError.exit_code == 2


def test_a_folder_without_a_network_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected model_final\.pth or model_\*\.pth"):
        trained_checkpoint(tmp_path)


def test_the_average_follows_the_weights(source: DatasetSource, tmp_path: Path) -> None:
    model = build_model(small_config(source, tmp_path))
    average = WeightAverage(model, decay=0.75)
    before = deepcopy(model.state_dict())
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor += 4
    average.update()
    parameters = dict(model.named_parameters())
    for name, tensor in average.state_dict().items():
        expected = before[name] + (1 if name in parameters else 4)
        torch.testing.assert_close(tensor, expected.to(tensor.dtype), msg=name)


def test_gradients_are_limited_together_or_each() -> None:
    solver = config_with_clip("full_model")
    layer = nn.Linear(2, 2)
    parameters = list(layer.parameters())
    for kind, largest in (("full_model", 1.0), ("value", 1.0), ("norm", 1.0)):
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, 3.0)
        norm = torch.tensor([9.0] * 6).sum().sqrt()
        clipping(parameters, norm, config_with_clip(kind).CLIP_GRADIENTS)()
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        joint = torch.cat([g.flatten() for g in gradients])
        measured = {
            "full_model": joint.norm(),
            "value": joint.abs().max(),
            "norm": torch.stack([g.norm() for g in gradients]).max(),
        }[kind]
        torch.testing.assert_close(measured, torch.tensor(largest), atol=1e-5, rtol=0)
    assert [group["lr"] for group in build_optimizer(layer, solver).param_groups] == [solver.BASE_LR] * 2


def config_with_clip(kind: str) -> CfgNode:
    solver = tasks.train.default_config().SOLVER
    solver.CLIP_GRADIENTS.CLIP_TYPE = kind
    return solver


def test_without_a_warm_up_the_first_iteration_has_the_full_rate() -> None:
    solver = tasks.train.default_config().SOLVER
    solver.WARMUP_ITERS = 0
    assert lr_factor(0, solver) == 1
