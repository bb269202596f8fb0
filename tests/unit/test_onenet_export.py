"""OneNet for other runtimes: the same detections as here."""

from pathlib import Path

import pytest
import torch

from baselines.onenet.cli.export import app
from baselines.onenet.config_file import read_config
from baselines.onenet.export.exported_network import ExportedNetwork
from baselines.onenet.export.onnx_file import ExportError, OnnxSettings, write_onnx
from baselines.onenet.export.sampled_convolution import SampledConv2d
from baselines.onenet.modeling.model import lay_out_model
from baselines.onenet.modeling.neck import DeformableConv2d
from os2d.errors import CheckpointError, ConfigError
from os2d.structures.sizes import Size
from tests.exported_onenet import CONFIGS, check_against_torch, fresh


@pytest.mark.slow
def test_onnx_runtime_finds_the_same_in_photos_of_any_number_and_size(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = fresh("onenet.res18.dcn")
    torch.save({"model": model.state_dict()}, tmp_path / "model_final.pth")

    app([str(tmp_path / "model_final.pth"), str(tmp_path / "onenet.onnx"), "--config-file", "onenet.res18.dcn"],
        standalone_mode=False)  # fmt: skip

    told = capsys.readouterr().out
    assert "any number of images of any size, deformable convolutions by operator" in told
    groups = [[Size(320, 240)], [Size(120, 96), Size(128, 90), Size(65, 130)], [Size(31, 32)]]
    check_against_torch(model, tmp_path / "onenet.onnx", photos, groups)


@pytest.mark.parametrize("modulated", [True, False])
def test_sampling_is_a_deformable_convolution(modulated: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    convolution = DeformableConv2d(5, 4)
    torch.nn.init.normal_(convolution.weight, generator=generator)
    x = torch.randn(2, 5, 6, 7, generator=generator)
    offset = 3 * torch.randn(2, 18, 6, 7, generator=generator)  # many points fall outside
    mask = torch.rand(2, 9, 6, 7, generator=generator) if modulated else None

    torch.testing.assert_close(SampledConv2d(convolution)(x, offset, mask), convolution(x, offset, mask))


def test_exported_networks_have_no_norms_and_leave_the_detector_alone() -> None:
    model = fresh("onenet.mobilenet_v3_large.nodcn")
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}

    network = ExportedNetwork(model)

    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (OnnxSettings(Size(853, 512)), "multiples of 32, got 853 x 512"),
        (OnnxSettings(opset=18), "opset: expected at least 19, got 18"),
        (OnnxSettings(batch_size=0), "batch size: expected a positive number, got 0"),
    ],
)
def test_settings_that_cannot_work_are_named(settings: OnnxSettings, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        write_onnx(torch.nn.Identity(), tmp_path / "x.onnx", settings)  # type: ignore[arg-type]


def test_suppression_is_not_left_out_in_silence(tmp_path: Path) -> None:
    model = lay_out_model(read_config(CONFIGS / "onenet.res18.nodcn.yaml", ["MODEL.OneNet.NMS", "True"]))
    with pytest.raises(ConfigError, match=r"MODEL\.OneNet\.NMS: expected False"):
        write_onnx(model, tmp_path / "x.onnx", OnnxSettings())
    assert not any(tmp_path.iterdir())


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    from baselines.onenet.export.onnx_detector import OnnxDetector

    with pytest.raises(CheckpointError, match="no such file; write it: oneshot export"):
        OnnxDetector(tmp_path / "x.onnx")
    (tmp_path / "x.onnx").write_bytes(b"no network")
    with pytest.raises(CheckpointError, match=r"x\.onnx: onnxruntime .* cannot run it"):
        OnnxDetector(tmp_path / "x.onnx")


def test_a_backbone_alone_is_not_exported(tmp_path: Path) -> None:
    torch.save({"stem.conv1.weight": torch.zeros(1), "res2.0.conv1.weight": torch.zeros(1)}, tmp_path / "backbone.pth")
    with pytest.raises(CheckpointError, match="without a head"):
        app([str(tmp_path / "backbone.pth"), str(tmp_path / "x.onnx")], standalone_mode=False)


def test_tensorrt_says_what_to_install(tmp_path: Path) -> None:
    try:
        import tensorrt  # noqa: F401
    except ImportError:
        with pytest.raises(ExportError, match="pip install tensorrt"):
            app([str(tmp_path / "x.pth"), str(tmp_path / "x.plan"), "--engine", "tensorrt"], standalone_mode=False)
    else:
        pytest.skip("TensorRT is installed")
