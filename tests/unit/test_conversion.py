from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from os2d.errors import CheckpointError
from os2d.modeling.conversion import (
    caffe2_cirtorch,
    caffe2_groupnorm,
    cirtorch,
    maskrcnn_benchmark,
    torchvision_to_cirtorch,
    torchvision_to_maskrcnn_benchmark,
    weakalign,
)
from os2d.modeling.conversion.conversions import CONVERSIONS, CONVERSIONS_OF_TORCHVISION, Conversion
from os2d.modeling.conversion.convert_file import DetectorOptions, convert_file
from os2d.modeling.conversion.first_convolution import STD, from_bytes, from_scaled_bytes
from os2d.modeling.conversion.maskrcnn_benchmark import ImageUnits, read_units
from os2d.modeling.conversion.recognition import recognise
from os2d.modeling.conversion.resnet import Converted, resnet_shapes
from os2d.modeling.weights_file import load_weights
from tests.unit.weights_files import pickled, renamed, resnet, saved

ALL_BUT_CLASSIFIER = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")
UP_TO_LAYER3 = ALL_BUT_CLASSIFIER[:-1]


def part(weights: Mapping[str, Tensor], starts: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if name.startswith(starts)}


def blobs(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {caffe2_groupnorm.blob_name(name): tensor for name, tensor in weights.items()}


def equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("architecture", ["ResNet18", "ResNet50", "ResNet101"])
@pytest.mark.parametrize("layout", [caffe2_cirtorch, cirtorch], ids=lambda module: module.__name__.rpartition(".")[2])
def test_numbered_layers_get_their_names(architecture: str, layout: object) -> None:
    whole = resnet(architecture)
    converted = layout.convert(renamed(whole, layout.PREFIXES) | {"pool.p": torch.ones(1), "10.weight": torch.ones(1)})
    assert equal(converted.weights, part(whole, ALL_BUT_CLASSIFIER))
    assert converted.architecture == architecture and converted.dropped == ("pool.p", "10.weight")


@pytest.mark.parametrize("prefixes", [caffe2_cirtorch.PREFIXES, cirtorch.PREFIXES, maskrcnn_benchmark.PREFIXES])
def test_a_table_leads_every_start_elsewhere(prefixes: Mapping[str, str]) -> None:
    assert len(set(prefixes.values())) == len(prefixes)


def test_group_norm_blobs_are_taken_without_remainder() -> None:
    whole = resnet("ResNet50", group_norm=True)
    converted = caffe2_groupnorm.convert(blobs(whole))
    assert equal({**converted.weights, "conv1.weight": whole["conv1.weight"]}, whole)
    assert set(blobs(whole)) >= {
        "conv1_w",
        "res2_0_branch1_gn_s",
        "res4_5_branch2c_w",
        "res5_2_branch2a_gn_b",
        "pred_b",
    }
    with pytest.raises(CheckpointError, match="1 unexpected: lr"):
        caffe2_groupnorm.convert(blobs(whole) | {"lr": torch.ones(1)})


def test_a_detector_gives_its_first_stages_and_drops_the_rest() -> None:
    whole = resnet("ResNet101")
    prefixes = {**maskrcnn_benchmark.PREFIXES, "layer4.": "module.backbone.body.layer4."}
    detector = renamed(whole, prefixes) | {"module.rpn.head.conv.weight": torch.ones(1)}
    converted = maskrcnn_benchmark.convert(detector, ImageUnits())
    expected = part(whole, UP_TO_LAYER3)
    assert equal({**converted.weights, "conv1.weight": expected["conv1.weight"]}, expected)
    assert "module.rpn.head.conv.weight" in converted.dropped
    assert "module.backbone.body.layer4.0.conv1.weight" in converted.dropped


CONVERT: Mapping[str, tuple[Callable[[Mapping[str, Tensor]], Converted], Mapping[str, Tensor]]] = {
    "caffe2-cirtorch": (caffe2_cirtorch.convert, renamed(resnet("ResNet18"), caffe2_cirtorch.PREFIXES)),
    "cirtorch": (cirtorch.convert, renamed(resnet("ResNet18"), cirtorch.PREFIXES)),
    "caffe2-groupnorm": (caffe2_groupnorm.convert, blobs(resnet("ResNet18", group_norm=True))),
    "maskrcnn-benchmark": (
        lambda weights: maskrcnn_benchmark.convert(weights, ImageUnits()),
        renamed(resnet("ResNet18"), maskrcnn_benchmark.PREFIXES),
    ),
    "torchvision to cirtorch": (torchvision_to_cirtorch.convert, resnet("ResNet18")),
    "torchvision to maskrcnn-benchmark": (torchvision_to_maskrcnn_benchmark.convert, resnet("ResNet18")),
}


@pytest.mark.parametrize("name", CONVERT)
def test_what_does_not_fit_is_listed_under_the_names_of_the_file(name: str) -> None:
    convert, weights = CONVERT[name]
    taken = list(convert(weights).weights)
    keys = [key for key in weights if "bn" in key or "norm" in key or "_gn" in key or ".1." in key]
    lost, changed = keys[5], keys[8]
    unexpected = changed.replace("1", "17", 1) if name.startswith("torchvision") else f"{changed}_ema"
    damaged = {key: tensor for key, tensor in weights.items() if key != lost}
    damaged |= {changed: torch.ones(3, 3), unexpected: torch.ones(1)}

    with pytest.raises(CheckpointError, match="ResNet18") as e:
        convert(damaged)

    assert taken
    for problem in (f"1 missing: {lost}", f"1 unexpected: {unexpected}", f"1 of another shape: {changed} (3, 3)"):
        assert problem in str(e.value)


def images(generator: torch.Generator) -> Tensor:
    """RGB in [0, 255], without its mean as each network takes it off."""
    return 50 * torch.randn(2, 3, 20, 24, generator=generator)


def test_a_filter_for_bytes_gives_the_same_for_normalised_images() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, rgb = torch.randn(8, 3, 7, 7, generator=generator), images(generator)
    theirs = conv2d(rgb.flip(1), weight, stride=2, padding=3)
    ours = conv2d(rgb / 255 / torch.tensor(STD)[:, None, None], from_bytes(weight), stride=2, padding=3)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-2)
    assert theirs.abs().mean() > 100


@pytest.mark.parametrize("is_bgr", [True, False])
def test_a_filter_for_scaled_bytes_gives_the_same_for_normalised_images(is_bgr: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    weight, rgb = torch.randn(8, 3, 7, 7, generator=generator), images(generator)
    pixel_std = (57.0, 58.5, 59.25)
    own = rgb.flip(1) if is_bgr else rgb
    theirs = conv2d(own / torch.tensor(pixel_std)[:, None, None], weight, stride=2, padding=3)
    fitted = from_scaled_bytes(weight, pixel_std, is_bgr)
    ours = conv2d(rgb / 255 / torch.tensor(STD)[:, None, None], fitted, stride=2, padding=3)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_torchvision_comes_back_from_cirtorch_unchanged(tmp_path: Path) -> None:
    whole = {f"module.{name}": tensor for name, tensor in resnet("ResNet18").items()}
    trained = saved(tmp_path / "model_best.pth.tar", {"epoch": 90, "state_dict": whole})
    there = convert_file(trained, target="cirtorch")
    back = convert_file(Path(there.output))
    assert Path(there.output).name == "model_best_cirtorch.pth.tar" and there.dropped == ("fc.weight", "fc.bias")
    assert list(load_weights(there.output)) == ["state_dict"]
    assert Path(back.output).name == "model_best_cirtorch-converted.pth.tar"
    assert equal(load_weights(back.output), part(resnet("ResNet18"), ALL_BUT_CLASSIFIER))


def test_torchvision_for_maskrcnn_benchmark_is_still_torchvision(tmp_path: Path) -> None:
    trained = saved(tmp_path / "model_best.pth.tar", {"epoch": 90, "state_dict": resnet("ResNet18", num_classes=786)})
    report = convert_file(trained, target="maskrcnn-benchmark")
    written = load_weights(report.output)
    assert Path(report.output).name == "model_best_maskrcnnbenchmark.pth.tar" and not report.dropped
    assert equal(written, resnet("ResNet18", num_classes=786))
    found = recognise(written)
    assert found is not None and found.layout.name == "torchvision"


@pytest.mark.parametrize(
    ("conversion", "file", "result"),
    [
        (CONVERSIONS["caffe2-cirtorch"], "a-ac468af.pth", "a-ac468af-converted.pth"),
        (CONVERSIONS["cirtorch"], "gl18.pth", "gl18-converted.pth"),
        (CONVERSIONS["caffe2-groupnorm"], "R-50-GN.pkl", "resnet50_caffe2_groupnorm.pth"),
        (CONVERSIONS["maskrcnn-benchmark"], "e2e_R_50_1x.pth", "e2e_R_50_1x_converted.pth"),
        (CONVERSIONS["weakalign"], "weakalign.pth.tar", "weakalign-converted.pth"),
        (CONVERSIONS_OF_TORCHVISION["cirtorch"], "model_best.pth.tar", "model_best_cirtorch.pth.tar"),
        (CONVERSIONS_OF_TORCHVISION["maskrcnn-benchmark"], "net.pth", "net_maskrcnnbenchmark.pth"),
    ],
)
def test_results_have_their_published_names(conversion: Conversion, file: str, result: str) -> None:
    assert conversion.output_path(Path("models") / file, "ResNet50") == Path("models") / result


def test_weakalign_without_a_regressor_is_refused() -> None:
    backbone = renamed(resnet("ResNet18"), weakalign.BACKBONE_PREFIXES)
    with pytest.raises(CheckpointError, match=r"14 missing: FeatureRegression\.conv\.0\.weight"):
        weakalign.convert({key: t for key, t in backbone.items() if "model.7" not in key})


@pytest.mark.parametrize("wrapper", ["module.", ""])
def test_a_detector_trained_on_one_gpu_is_recognised_too(wrapper: str) -> None:
    weights = renamed(resnet("ResNet18"), maskrcnn_benchmark.PREFIXES)
    found = recognise(
        {"model": {wrapper + key.removeprefix("module."): t for key, t in weights.items()}, "iteration": 3}
    )
    assert found is not None and found.layout.name == "maskrcnn-benchmark" and found.place == "model"
    assert maskrcnn_benchmark.convert(found.weights, ImageUnits()).architecture == "ResNet18"


def test_units_come_from_the_detectors_configuration(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("MODEL:\n  META_ARCHITECTURE: GeneralizedRCNN\n")
    assert read_units(file) == ImageUnits((1.0, 1.0, 1.0), to_bgr255=True)
    file.write_text('INPUT:\n  PIXEL_STD: "(57.375, 57.12, 58.395)"\n  TO_BGR255: False\n')
    assert read_units(file) == ImageUnits((57.375, 57.12, 58.395), to_bgr255=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("INPUT: [", "not a readable configuration"),
        ("- a", "expected a configuration"),
        ("INPUT:\n  PIXEL_STD: [1, 0, 1]", r"INPUT\.PIXEL_STD: expected three positive numbers, got \[1, 0, 1\]"),
        ("INPUT:\n  TO_BGR255: maybe", r"INPUT\.TO_BGR255: expected True or False, got 'maybe'"),
    ],
)
def test_a_wrong_configuration_is_named(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(CheckpointError, match=rf"a\.yaml: .*{message}"):
        read_units(file)


def test_options_win_over_the_configuration_beside_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "d.pth", {"model": renamed(resnet("ResNet18"), maskrcnn_benchmark.PREFIXES)})
    (tmp_path / "d.yaml").write_text("INPUT:\n  PIXEL_STD: [2, 2, 2]\n  TO_BGR255: False\n")
    told = convert_file(path)
    asked = convert_file(path, detector=DetectorOptions(pixel_std=(3, 3, 3), to_bgr255=True), replace=True)
    assert told.options == {"pixel_std": [2, 2, 2], "to_bgr255": False}
    assert asked.options == {"pixel_std": [3, 3, 3], "to_bgr255": True}


@pytest.fixture
def caffe2_file(tmp_path: Path) -> Path:
    return saved(tmp_path / "net.pth", renamed(resnet("ResNet18"), caffe2_cirtorch.PREFIXES))


def test_an_existing_result_is_replaced_only_on_request(caffe2_file: Path) -> None:
    result = Path(convert_file(caffe2_file).output)
    result.write_text("precious")
    with pytest.raises(CheckpointError, match=r"net-converted\.pth: exists already; --force"):
        convert_file(caffe2_file)
    assert result.read_text() == "precious"
    convert_file(caffe2_file, replace=True)
    assert sorted(path.name for path in caffe2_file.parent.iterdir()) == ["net-converted.pth", "net.pth"]
    assert len(load_weights(result)) == len(part(resnet_shapes("ResNet18"), ALL_BUT_CLASSIFIER)) - 20


def test_the_result_can_lie_elsewhere(caffe2_file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert convert_file(caffe2_file, output=tmp_path / "elsewhere").output.endswith("elsewhere/net-converted.pth")
    assert convert_file(caffe2_file, output=tmp_path / "net-renamed.pth").output.endswith("net-renamed.pth")
    with pytest.raises(CheckpointError, match="there is no folder"):
        convert_file(caffe2_file, output=tmp_path / "absent" / "a.pth")
    with pytest.raises(CheckpointError, match="is the file to convert"):
        convert_file(caffe2_file, output=caffe2_file, replace=True)


def test_what_cannot_be_converted_says_what_it_is(tmp_path: Path, caffe2_file: Path) -> None:
    whole = saved(tmp_path / "resnet18.pth", resnet("ResNet18"))
    with pytest.raises(
        CheckpointError, match=r"resnet18\.pth: holds a ResNet .*init\.model takes it as it is; --to cir"
    ):
        convert_file(whole)
    with pytest.raises(CheckpointError, match=r"net\.pth: holds a ResNet of Caffe2.*only a ResNet under torchvision's"):
        convert_file(caffe2_file, target="cirtorch")
    with pytest.raises(CheckpointError, match=r"net\.pth: expected a ResNet101, found a ResNet18"):
        convert_file(caffe2_file, architecture="ResNet101")
    with pytest.raises(CheckpointError, match=r"net\.pth: is of layout caffe2-cirtorch, which has no options"):
        convert_file(caffe2_file, detector=DetectorOptions(to_bgr255=True))
    with pytest.raises(CheckpointError, match=r"net\.pth: not the weights of a ResNet"):
        convert_file(caffe2_file, layout="cirtorch")
    with pytest.raises(CheckpointError, match=r"a\.pkl: holds weights under names that are not known"):
        convert_file(pickled(tmp_path / "a.pkl", {"b": torch.ones(2).numpy()}))
    with pytest.raises(CheckpointError, match=r"log\.pth: expected weights by name"):
        convert_file(saved(tmp_path / "log.pth", {"epoch": 3}))
