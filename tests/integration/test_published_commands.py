"""The command lines of the published program, word for word: what they say when something is missing; that they run.

The shelf generator draws the data, weights files are random. To be quick, every real run ends its command with
:data:`SMALL`: overrides that shrink images and batches but neither the network nor what is done, and let enough anchors
be positive for a loss in a single step.
"""

import logging
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from main import main, read_config
from tests.integration.published_files import write_backbone, write_grozi, write_network, write_weakalign

ROOT = Path(__file__).resolve().parents[2]

V2_TRAIN_SINGLE_SCALE = r"""
python main.py --config-file experiments/config_training.yml model.use_inverse_geom_model True model.use_simplified_affine_model False model.backbone_arch ResNet50 train.do_training False eval.dataset_names "[\"grozi-val-new-cl\"]" eval.dataset_scales "[1280.0]" init.model models/os2d_v2-train.pth eval.scales_of_image_pyramid "[1.0]"
"""  # noqa: E501
V2_TRAIN = r"""
python main.py --config-file experiments/config_training.yml model.use_inverse_geom_model True model.use_simplified_affine_model False model.backbone_arch ResNet50 train.do_training False eval.dataset_names "[\"grozi-val-new-cl\"]" eval.dataset_scales "[1280.0]" init.model models/os2d_v2-train.pth
"""  # noqa: E501
V1_TRAIN = r"""
python main.py --config-file experiments/config_training.yml model.use_inverse_geom_model False model.use_simplified_affine_model True model.backbone_arch ResNet101 train.do_training False eval.dataset_names "[\"grozi-val-new-cl\"]" eval.dataset_scales "[1280.0]" init.model models/os2d_v1-train.pth
"""  # noqa: E501
V2_INIT = r"""
python main.py --config-file experiments/config_training.yml model.use_inverse_geom_model True model.use_simplified_affine_model False model.backbone_arch ResNet50 train.do_training False eval.dataset_names "[\"grozi-val-new-cl\"]" eval.dataset_scales "[1280.0]" init.model models/os2d_v2-init.pth
"""  # noqa: E501
EVALUATIONS = {
    "V2-train, one scale": V2_TRAIN_SINGLE_SCALE,
    "V2-train": V2_TRAIN,
    "V1-train": V1_TRAIN,
    "V2-init": V2_INIT,
}

TRAIN_V2 = r"""
python main.py --config-file experiments/config_training.yml model.use_inverse_geom_model True model.use_simplified_affine_model False train.objective.loc_weight 0.0 train.model.freeze_bn_transform True model.backbone_arch ResNet50 init.model models/imagenet-caffe-resnet50-features-ac468af-renamed.pth init.transform models/weakalign_resnet101_affine_tps.pth.tar train.mining.do_mining True output.path output/os2d_v2-train
"""  # noqa: E501
TRAIN_V2_WITHOUT_MINING = r"""
python main.py --config-file experiments/config_training.yml model.use_inverse_geom_model True model.use_simplified_affine_model False train.objective.loc_weight 0.0 train.model.freeze_bn_transform True model.backbone_arch ResNet50 init.model models/imagenet-caffe-resnet50-features-ac468af-renamed.pth init.transform models/weakalign_resnet101_affine_tps.pth.tar train.mining.do_mining False output.path output/os2d_v2-train-nomining
"""  # noqa: E501
TRAIN_V1 = r"""
python main.py --config-file experiments/config_training.yml model.use_inverse_geom_model False model.use_simplified_affine_model True train.objective.loc_weight 0.2 train.model.freeze_bn_transform False model.backbone_arch ResNet101 init.model models/gl18-tl-resnet101-gem-w-a4d43db-converted.pth train.mining.do_mining False output.path output/os2d_v1-train
"""  # noqa: E501
TRAININGS = {
    "V2 with mining": TRAIN_V2,
    "V2 without mining": TRAIN_V2_WITHOUT_MINING,
    "V1": TRAIN_V1,
}
TRAINING_RUNS = [
    name if name == "V2 with mining" else pytest.param(name, marks=pytest.mark.cluster) for name in TRAININGS
]
"""By default the one with all parts runs."""

COMMANDS = EVALUATIONS | TRAININGS

SMALL = """
is_cuda False eval.dataset_scales [160.0] train.dataset_scale 720.0 model.class_image_size 64
train.augment.train_patch_width 256 train.augment.train_patch_height 256 train.batch_size 2 train.class_batch_size 2
train.objective.remap_classification_targets_iou_pos 0.4 train.objective.remap_classification_targets_iou_neg 0.1
train.optim.max_iter 1 runtime.num_workers 0
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to type the commands in: the shipped configuration, no data, no weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONESHOT_DATA", raising=False)
    (tmp_path / "experiments").mkdir()
    shutil.copy(ROOT / "experiments" / "config_training.yml", tmp_path / "experiments")
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield tmp_path
    root.handlers[:], root.level = handlers, level


def words(command: str, *overrides: str) -> list[str]:
    """Return the arguments a shell would hand to ``main.py``."""
    python, script, *arguments = shlex.split(command)
    assert (python, script) == ("python", "main.py")
    return [*arguments, *overrides]


def the_error(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the only line on standard error."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0].removeprefix("error: ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_word_is_understood(folder: Path, name: str) -> None:
    file, *overrides = words(COMMANDS[name])[1:]
    config = read_config(Path(file), overrides)
    assert config.output.best_model.do_get_best_model
    assert config.eval.dataset_scales == [1280.0]
    assert config.train.optim.anneal_lr.milestones == [100000, 150000]


def test_the_network_must_be_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config-file", "experiments/config_training.yml"]) == 2
    assert the_error(capsys) == ("model.backbone_arch: expected one of ResNet18, ResNet34, ResNet50, ResNet101, got ''")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("name", COMMANDS)
def test_without_a_gpu_the_commands_say_so(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(COMMANDS[name])) == 2
    message = the_error(capsys)
    assert message.startswith("is_cuda: True") and message.endswith("set is_cuda False to run on the CPU")


@pytest.mark.parametrize("name", ["V2-train", "V1-train", "V2-init", "V2 with mining", "V1"])
def test_without_weights_the_commands_name_the_file_and_how_to_get_it(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = words(COMMANDS[name], "is_cuda", "False")
    assert main(arguments) == 2
    message = the_error(capsys)
    assert message.startswith(f"{arguments[arguments.index('init.model') + 1]}: no such weights file")
    assert "oneshot models fetch" in message


@pytest.mark.parametrize("name", ["V2-train", "V2 with mining"])
def test_without_data_the_commands_name_the_folder_and_how_to_get_it(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str], weights: Path
) -> None:
    (folder / "models").symlink_to(weights)
    assert main(words(COMMANDS[name], "is_cuda", "False")) == 2
    message = the_error(capsys)
    assert str(folder / "data" / "grozi") in message and "oneshot data fetch grozi" in message


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_network(folder / "os2d_v2-train.pth", "v2_resnet50")
    os.link(folder / "os2d_v2-train.pth", folder / "os2d_v2-init.pth")
    write_network(folder / "os2d_v1-train.pth", "v1_resnet101")
    write_backbone(folder / "imagenet-caffe-resnet50-features-ac468af-renamed.pth", "v2_resnet50")
    write_backbone(folder / "gl18-tl-resnet101-gem-w-a4d43db-converted.pth", "v1_resnet101")
    write_weakalign(folder / "weakalign_resnet101_affine_tps.pth.tar")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_grozi(folder)
    return folder


@pytest.fixture
def complete_folder(folder: Path, weights: Path, data: Path) -> Path:
    """The folder with data and weights where the commands expect them."""
    (folder / "models").symlink_to(weights)
    (folder / "data").symlink_to(data)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", EVALUATIONS)
def test_evaluations_run(complete_folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(COMMANDS[name], *SMALL.split())) == 0
    lines = capsys.readouterr().out.splitlines()
    told = next(k for k, line in enumerate(lines) if line.endswith("Evaluated on grozi-val-new-cl, scale 160.0"))
    assert "mAP@0.50 " in lines[told + 1]
    assert "mAP@0.50_grozi-val-new-cl" in lines[-1]
    assert not (complete_folder / "output").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINING_RUNS)
def test_trainings_run_and_leave_what_can_be_evaluated(
    complete_folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = words(COMMANDS[name], *SMALL.split())
    assert main(arguments) == 0
    output = complete_folder / arguments[arguments.index("output.path") + 1]
    best = "checkpoint_best_model_grozi-val-new-cl_mAP@0.50.pth"
    assert {"config.yml", best, "checkpoint_iter_1.pth"} <= {path.name for path in output.iterdir()}
    trained = torch.load(output / "checkpoint_iter_1.pth", weights_only=True)["net"]
    start = torch.load(complete_folder / arguments[arguments.index("init.model") + 1], weights_only=True)
    moved = [not torch.equal(trained[f"net_feature_maps.{name}"], start[name]) for name in start if "conv3" in name]
    assert any(moved), "one step changed the weights that it started from"
    if name == "V2 with mining":
        assert "hard patches" in capsys.readouterr().out
