"""Weights of the detector: its own layout, ResNets for its body, and files that do not fit."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from baselines.detector_retrieval.detector.catalog import weights_path
from baselines.detector_retrieval.detector.config_check import check_training
from baselines.detector_retrieval.detector.fingerprints import evaluation_fingerprints
from baselines.detector_retrieval.detector.model import Detector, build_detector
from baselines.detector_retrieval.detector.weights import BODY, load_init_model, load_start_weights, trained_checkpoint
from os2d.errors import CheckpointError, ConfigError
from os2d.run import MissingInput
from tests.unit.detector_case import same_weights, small_config

FROZEN: dict[str, Any] = {"MODEL__RESNETS__NORM": "FrozenBN"}


def detector_of(seed: int, **overrides: Any) -> Detector:
    return build_detector(small_config(random_seed=seed, **overrides))


def test_a_published_checkpoint_is_loaded_whole(tmp_path: Path) -> None:
    source, target = detector_of(1), detector_of(2)
    assert not same_weights(source.state_dict(), target.state_dict())
    wrapped = {f"module.{name}": tensor for name, tensor in source.state_dict().items()}
    torch.save({"model": wrapped, "iteration": 7}, tmp_path / "model_best.pth")
    load_init_model(target, trained_checkpoint(tmp_path))
    assert same_weights(source.state_dict(), target.state_dict())


def test_a_resnet_of_torchvision_fills_the_body_alone(tmp_path: Path) -> None:
    resnet, detector = resnet18(), detector_of(1, **FROZEN)
    before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    torch.save(resnet.state_dict(), tmp_path / "resnet.pth")
    load_init_model(detector, tmp_path / "resnet.pth")
    after, source = detector.state_dict(), resnet.state_dict()
    assert torch.equal(after[f"{BODY}stem.conv1.weight"], source["conv1.weight"])
    assert torch.equal(after[f"{BODY}layer4.1.bn2.running_var"], source["layer4.1.bn2.running_var"])
    rest = [name for name in after if not name.startswith(BODY)]
    assert all(torch.equal(after[name], before[name]) for name in rest)


def test_a_resnet_of_caffe2_fills_the_body_with_folded_norms(tmp_path: Path) -> None:
    config = small_config(MODEL__BACKBONE__CONV_BODY="R-50-FPN", **FROZEN)
    detector = build_detector(config)
    shapes = caffe2_shapes(detector)
    with (tmp_path / "R-50.pkl").open("wb") as stream:
        blobs = {name: np.full(shape, number, dtype=np.float32) for number, (name, shape) in enumerate(shapes.items())}
        pickle.dump({"blobs": {**blobs, "fc1000_w": np.zeros((2, 2), np.float32)}}, stream)
    load_init_model(detector, tmp_path / "R-50.pkl")
    body = detector.backbone.body.state_dict()
    np.testing.assert_array_equal(body["stem.bn1.weight"], blobs["res_conv1_bn_s"])
    np.testing.assert_array_equal(body["layer3.5.conv2.weight"], blobs["res4_5_branch2b_w"])
    np.testing.assert_array_equal(body["layer2.0.downsample.1.bias"], blobs["res3_0_branch1_bn_b"])
    assert body["layer1.0.bn1.running_var"].eq(1).all() and body["layer1.0.bn1.running_mean"].eq(0).all()


def caffe2_shapes(detector: Detector) -> dict[str, tuple[int, ...]]:
    """Return the blobs of a ResNet-50 with their shapes, spelled out from the layers they belong to."""
    layers = {"conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2c", "downsample.0": "branch1"}
    norms = {"bn1": "branch2a", "bn2": "branch2b", "bn3": "branch2c", "downsample.1": "branch1"}
    shapes: dict[str, tuple[int, ...]] = {"conv1_w": (64, 3, 7, 7), "res_conv1_bn_s": (64,), "res_conv1_bn_b": (64,)}
    state = detector.backbone.body.state_dict()
    for stage, blocks in ((1, 3), (2, 4), (3, 6), (4, 3)):
        for block in range(blocks):
            start, ours = f"res{stage + 1}_{block}_", f"layer{stage}.{block}."
            shapes |= {
                f"{start}{b}_w": tuple(state[f"{ours}{n}.weight"].shape)
                for n, b in layers.items()
                if f"{ours}{n}.weight" in state
            }
            for name, blob in norms.items():
                if f"{ours}{name}.weight" in state:
                    shapes[f"{start}{blob}_bn_s"] = shapes[f"{start}{blob}_bn_b"] = tuple(
                        state[f"{ours}{name}.weight"].shape
                    )
    return shapes


def test_a_file_that_does_not_fit_changes_nothing_and_names_the_keys(tmp_path: Path) -> None:
    detector = detector_of(1)
    before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    weights = dict(detector_of(2).state_dict())
    weights["rpn.head.conv.weight"] = weights["rpn.head.conv.weight"][:3]
    del weights["backbone.fpn.fpn_inner1.bias"]
    torch.save({"model": weights}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"1 missing: backbone.fpn.fpn_inner1.bias.*rpn.head.conv.weight \(3, 16"):
        load_init_model(detector, tmp_path / "other.pth")
    assert same_weights(before, detector.state_dict())


def test_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "else.pth")
    with pytest.raises(CheckpointError, match="expected a detector"):
        load_init_model(detector_of(1), tmp_path / "else.pth")


def test_missing_weights_are_never_replaced_by_random_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = small_config(MODEL__WEIGHT="catalog://ImageNetPretrained/MSRA/R-50")
    with pytest.raises(CheckpointError, match=r"models/MSRA-R-50.pkl: no such weights file"):
        load_start_weights(detector_of(1), config)
    found = evaluation_fingerprints(small_config(MODEL__WEIGHT=config.MODEL.WEIGHT, DATASETS__TEST=()))
    assert isinstance(found["MODEL.WEIGHT"], MissingInput)
    assert found["MODEL.WEIGHT"].startswith("MODEL.WEIGHT: models/MSRA-R-50.pkl")


def test_the_catalogue_knows_its_entries_only() -> None:
    assert weights_path("some/file.pth") == Path("some/file.pth")
    with pytest.raises(ConfigError, match="MSRA/R-50"):
        check_training(small_config(MODEL__WEIGHT="catalog://ImageNetPretrained/X-101"))
