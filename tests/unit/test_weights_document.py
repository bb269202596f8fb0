"""Every command of docs/weights.md, on files as the published ones are."""

import shlex
from pathlib import Path

import pytest
import torch

from os2d.cli.models import app
from os2d.download.sources import MODELS
from os2d.modeling.conversion import caffe2_cirtorch, caffe2_groupnorm, cirtorch, maskrcnn_benchmark, weakalign
from os2d.modeling.conversion.conversions import CONVERSIONS
from os2d.modeling.network_keys import CLASS_BRANCH, IMAGE_BRANCH, TRANSFORM_NET
from os2d.modeling.transform_net import TransformNet
from tests.unit.weights_files import pickled, renamed, resnet, saved, spread

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "weights.md"


def commands() -> list[list[str]]:
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("oneshot models ")]
    return [shlex.split(line)[2:] for line in lines]


def transform_net(outputs: int) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        state = TransformNet(225, outputs, [7, 5, 5], [128, 64]).state_dict()
    return {name: spread(name, tensor.shape, tensor.dtype) for name, tensor in state.items()}


def os2d(architecture: str, outputs: int) -> dict[str, object]:
    kept = {k: t for k, t in resnet(architecture).items() if not k.startswith(("layer4.", "fc."))}
    branches = {branch + key: tensor for branch in (IMAGE_BRANCH, CLASS_BRANCH) for key, tensor in kept.items()}
    return {"net": branches | {TRANSFORM_NET + key: tensor for key, tensor in transform_net(outputs).items()}}


def weakalign_file() -> dict[str, object]:
    regressor = {
        f"FeatureRegression.{key}": tensor.flatten(1) if key == "linear.weight" else tensor
        for key, tensor in transform_net(6).items()
        if not key.endswith("num_batches_tracked")
    }
    return {"epoch": 20, "state_dict": renamed(resnet("ResNet101"), weakalign.BACKBONE_PREFIXES) | regressor}


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every file that the document names."""
    monkeypatch.chdir(tmp_path)
    for folder in ("models/maskrcnn-benchmark", "output/resnet101"):
        (tmp_path / folder).mkdir(parents=True)
    models = tmp_path / "models"
    saved(models / "os2d_v2-train.pth", os2d("ResNet50", 6))
    saved(models / "os2d_v1-train.pth", os2d("ResNet101", 4))
    saved(models / "weakalign_resnet101_affine_tps.pth.tar", weakalign_file())
    fifty, hundred = resnet("ResNet50"), resnet("ResNet101")
    saved(models / "imagenet-caffe-resnet50-features-ac468af.pth", renamed(fifty, caffe2_cirtorch.PREFIXES))
    saved(models / "gl18-tl-resnet101-gem-w-a4d43db.pth", {"state_dict": renamed(hundred, cirtorch.PREFIXES)})
    detector = models / "maskrcnn-benchmark" / "e2e_mask_rcnn_R_50_FPN_1x.pth"
    saved(detector, {"model": renamed(fifty, maskrcnn_benchmark.PREFIXES)})
    blobs = {caffe2_groupnorm.blob_name(k): t.numpy() for k, t in resnet("ResNet50", group_norm=True).items()}
    pickled(models / "R-50-GN.pkl", {"blobs": blobs})
    saved(tmp_path / "output" / "resnet101" / "model_best.pth.tar", {"state_dict": hundred})
    return tmp_path


def test_the_commands_of_the_document_work(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = [command for command in commands() if command[0] in ("convert", "inspect")]
    for command in ran:
        app(command, standalone_mode=False)
    told = capsys.readouterr().out
    assert len(ran) == 8
    assert told.count("  written ") == 6 and told.count("  problem ") == 0
    assert "  loads with    model.backbone_arch ResNet101" in told
    assert (published / "models" / "resnet50_caffe2_groupnorm.pth").is_file()


def test_the_document_names_every_published_file_that_is_loaded() -> None:
    text = DOCUMENT.read_text()
    for entry in MODELS:
        if entry.name not in ("os2d-instre", "onenet"):
            assert f"`{entry.name}`" in text, entry.name


def test_downloads_name_conversions_that_exist() -> None:
    for entry in MODELS:
        assert not entry.convert or entry.convert in CONVERSIONS, entry.name
        if entry.convert:
            conversion, depth = CONVERSIONS[entry.convert], "101" if "101" in entry.name else "50"
            assert str(conversion.output_path(Path(entry.files[0].file), f"ResNet{depth}")) == entry.converted
