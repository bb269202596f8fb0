"""``oneshot models convert`` and ``inspect``: what is printed, where, and the exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from os2d.cli.models import app
from os2d.errors import CheckpointError, ConfigError
from os2d.modeling.conversion import caffe2_cirtorch, caffe2_groupnorm, weakalign
from os2d.modeling.inspection import inspect_file, why_not_loadable
from tests.small_os2d import small_model
from tests.unit.weights_files import pickled, renamed, resnet, saved

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> None:
    app([str(argument) for argument in arguments], standalone_mode=False)


@pytest.fixture
def caffe2_file(tmp_path: Path) -> Path:
    weights = renamed(resnet("ResNet18"), caffe2_cirtorch.PREFIXES) | {"8.weight": torch.ones(1)}
    return saved(tmp_path / "imagenet-caffe-resnet18.pth", weights)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Of a small V1 network."""
    model = small_model(use_simplified_affine_model=True, use_inverse_geom_model=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    extra = {"criterion_dataset": "dairy", "criterion_metric": "mAP@0.50", "criterion_value": 0.25}
    return saved(tmp_path / "v1.pth", {"net": model.state_dict(), "optimizer": optimizer.state_dict(), **extra})


def test_a_conversion_tells_what_it_did(caffe2_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("convert", caffe2_file)
    told = capsys.readouterr().out
    result = caffe2_file.with_name("imagenet-caffe-resnet18-converted.pth")
    for line in (
        "layout        caffe2-cirtorch: a ResNet of Caffe2 as cirtorch publishes it",
        "recognised by the keys 0.weight and 4.0.conv1.weight",
        "architecture  ResNet18",
        "dropped       1 without a place there: 8.weight",
        f"written       {result}: 100 tensors",
        f"load it with  model.backbone_arch ResNet18 model.use_group_norm False init.model {result}",
    ):
        assert f"  {line}\n" in told
    assert why_not_loadable(result, ["model.backbone_arch", "ResNet18"]) is None


def test_a_conversion_reports_to_programs(caffe2_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("convert", caffe2_file, "--json", "--num_layers", 18)
    told = json.loads(capsys.readouterr().out)
    assert (told["layout"], told["architecture"], told["tensors"]) == ("caffe2-cirtorch", "ResNet18", 100)
    assert told["dropped"] == ["8.weight"]
    with pytest.raises(CheckpointError, match="--force"):
        run("convert", caffe2_file)
    assert capsys.readouterr().out == ""


def test_options_reach_the_conversion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = renamed(resnet("ResNet18"), {"conv1.": "stem.conv1.", "bn1.": "stem.bn1.", "layer": "layer"})
    path = saved(tmp_path / "d.pth", {"model": {f"module.backbone.body.{key}": tensor for key, tensor in body.items()}})
    for options in (("--pixel-std", 57, 58, 59, "--rgb"), ("--bgr255", "--force"), ("--output", tmp_path / "o.pth")):
        run("convert", path, *options)
    told = capsys.readouterr().out
    assert (
        "pixel_std [57.0, 58.0, 59.0], to_bgr255 False" in told and "pixel_std [1.0, 1.0, 1.0], to_bgr255 True" in told
    )
    assert "o.pth: 75 tensors" in told
    run("convert", saved(tmp_path / "t.pth", resnet("ResNet18")), "--to", "cirtorch", "--layout", "torchvision")
    assert (tmp_path / "t_cirtorch.pth").is_file()


def test_a_checkpoint_tells_how_to_load_it(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("inspect", checkpoint)
    told = capsys.readouterr().out
    for line in (
        "layout        os2d: a whole OS2D network",
        "architecture  ResNet18",
        "version       V1 (TransformNet with 4 outputs)",
        "branches      merged",
        "optimiser     method sgd, parameters 40, with_state 0, lr 0.01, momentum 0.9, weight_decay 0",
        "best model    dataset dairy, metric mAP@0.50, value 0.25",
    ):
        assert f"  {line}\n" in told
    (keys,) = (line for line in told.splitlines() if "load it with" in line)
    assert "model.use_simplified_affine_model True model.template_grid 7" in keys
    settings = keys.partition("load it with")[2]
    assert why_not_loadable(checkpoint, parts_of(settings)) is None


def parts_of(settings: str) -> list[str]:
    """KEY VALUE pairs of a line; a list as a value has blanks in it."""
    return settings.replace(", ", ",").split()


def test_settings_that_do_not_load_a_file_are_explained(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needed = "this file needs model.backbone_cut layer2, model.use_simplified_affine_model True, model.template_grid 7"
    with pytest.raises(CheckpointError, match=needed):
        run("inspect", checkpoint, "model.backbone_arch", "ResNet18", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["loads"] is False and told["version"] == "V1" and needed in told["why_not"]


def test_wrong_settings_are_named(checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.depth: cannot be set to '18'"):
        run("inspect", checkpoint, "model.depth", "18")
    with pytest.raises(ConfigError, match="expected KEY VALUE pairs, got 1"):
        run("inspect", checkpoint, "model.backbone_arch")


def test_numbers_that_are_tensors_are_numbers_for_programs(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content["optimizer"]["param_groups"][0]["lr"] = torch.tensor(0.5)
    saved(checkpoint, content | {"criterion_value": torch.tensor(0.25), "criterion_value_old": None})
    run("inspect", checkpoint, "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["optimizer"]["lr"] == 0.5 and told["best_model"]["value"] == 0.25
    assert told["best_model"]["value_old"] is None


def test_settings_that_load_a_file_are_confirmed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("inspect", saved(tmp_path / "r.pth", resnet("ResNet18")), "model.backbone_arch", "ResNet18")
    assert "  loads with    model.backbone_arch ResNet18\n" in capsys.readouterr().out


def test_separate_branches_and_group_norm_are_seen(tmp_path: Path) -> None:
    model = small_model(merge_branch_parameters=False, use_group_norm=True)
    torch.nn.init.zeros_(model.net_feature_maps.conv1.weight)
    told = inspect_file(saved(tmp_path / "a.pth", {"net": model.state_dict()}))
    assert told.merged is False and told.group_norm is True and told.version == "V2" and told.problems == []
    assert told.config["model.merge_branch_parameters"] is False
    assert told.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_an_incomplete_checkpoint_is_a_problem(checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    del content["net"]["net_feature_maps.layer1.0.bn1.weight"]
    (problem,) = inspect_file(saved(checkpoint, content)).problems
    assert "not complete, or of another network: 1 missing: net_feature_maps.layer1.0.bn1.weight" in problem
    content["net"] = {key: tensor for key, tensor in content["net"].items() if "parameter_regressor" not in key}
    assert inspect_file(saved(checkpoint, content)).problems == ["it has no TransformNet, or one of another kind"]


def test_files_of_other_projects_are_told(tmp_path: Path) -> None:
    blobs = {caffe2_groupnorm.blob_name(k): t.numpy() for k, t in resnet("ResNet18", group_norm=True).items()}
    told = inspect_file(pickled(tmp_path / "R-18-GN.pkl", {"blobs": blobs}))
    assert (told.layout, told.architectures, told.group_norm) == ("caffe2-groupnorm", ["ResNet18"], True)
    assert told.format == "pickle" and told.notes == [
        f"convert it for init.model: oneshot models convert {tmp_path / 'R-18-GN.pkl'}"
    ]
    del blobs["conv1_gn_b"]
    told = inspect_file(pickled(tmp_path / "R-18-GN.pkl", {"blobs": blobs}))
    assert told.problems == [
        "not the weights of a ResNet18 with group norm, the most similar network: 1 missing: conv1_gn_b"
    ]
    backbone = renamed(resnet("ResNet18"), weakalign.BACKBONE_PREFIXES)
    assert "not the affine regressor" in inspect_file(saved(tmp_path / "w.pth", {"state_dict": backbone})).problems[0]


def test_what_nothing_here_loads_is_described_by_its_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onenet = {
        "backbone.stem.conv1.weight": torch.ones(64, 3, 7, 7),
        "backbone.res2.0.conv1.weight": torch.ones(1),
        "backbone.res2.0.conv2.weight": torch.ones(1),
    }
    run("inspect", saved(tmp_path / "onenet.pth", {"model": onenet, "iteration": 269999}))
    told = capsys.readouterr().out
    assert "layout        detectron2: a backbone or a detector under the names of detectron2" in told
    assert "keys          backbone.res2: 2\n  keys          backbone.stem: 1\n" in told
    assert "other entries iteration 269999\n" in told and "nothing here converts it" in told
    run(
        "inspect",
        pickled(tmp_path / "torchvision-R-18.pkl", {"model": {"fc.w": torch.ones(2).numpy()}, "__author__": "t"}),
    )
    assert "layout        unknown: weights under names that are not known here" in capsys.readouterr().out


def test_a_file_without_weights_is_an_error_that_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"log\.pth: holds no weights by name; its entries: epoch 3, values \(list\)"
    ):
        inspect_file(saved(tmp_path / "log.pth", {"epoch": 3, "values": [1, 2]}))


def test_errors_are_one_line_and_an_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "orchestration.cli", "models", "inspect", str(tmp_path / "os2d_v2-train.pth")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "oneshot models fetch os2d_v2-train" in done.stderr
