"""Every published OneNet, and those on MobileNets, in ONNX Runtime: the same detections in real photos as here."""

from pathlib import Path

import pytest

from baselines.onenet.export.onnx_detector import OnnxDetector
from baselines.onenet.export.onnx_file import Deformable, OnnxSettings, write_onnx
from os2d.errors import DataError
from os2d.structures.sizes import Size
from tests.exported_onenet import check_against_torch, fresh, photos_of

pytestmark = pytest.mark.cluster

WIDE, TALL = Size(853, 512), Size(512, 683)


@pytest.mark.parametrize(
    "name",
    [
        "onenet.res18.nodcn",
        "onenet.res50.dcn",
        "onenet.res50.nodcn",
        "onenet.mobilenet_v2.nodcn",
        "onenet.mobilenet_v3_large.nodcn",
        "onenet.fcos.res50",
    ],
)
def test_onnx_runtime_finds_the_same(name: str, photos: Path, tmp_path: Path) -> None:
    model = fresh(name)
    write_onnx(model, tmp_path / "onenet.onnx", OnnxSettings())
    check_against_torch(model, tmp_path / "onenet.onnx", photos, [[WIDE], [TALL, Size(300, 400)]])


def test_onnx_runtime_finds_the_same_without_its_deformable_convolution(photos: Path, tmp_path: Path) -> None:
    model = fresh("onenet.res18.dcn")
    write_onnx(model, tmp_path / "onenet.onnx", OnnxSettings(deformable=Deformable.SAMPLING, opset=18))
    check_against_torch(model, tmp_path / "onenet.onnx", photos, [[TALL, Size(300, 400)]])


def test_a_file_for_a_fixed_size_takes_it(photos: Path, tmp_path: Path) -> None:
    model = fresh("onenet.res18.nodcn")
    write_onnx(model, tmp_path / "onenet.onnx", OnnxSettings(Size(320, 256), batch_size=2))

    check_against_torch(model, tmp_path / "onenet.onnx", photos, [[Size(320, 240), Size(290, 250)]])

    with pytest.raises(DataError, match="an image of 400 x 200 pixels: the file takes images of at most 320 x 256"):
        OnnxDetector(tmp_path / "onenet.onnx")(photos_of(photos, [Size(400, 200)]))
