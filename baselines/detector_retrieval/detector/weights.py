"""Weights files for the detector: its own, maskrcnn-benchmark's, and ResNets for its body.

A file either fits and is loaded completely, or nothing is changed and the error names what does not fit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from yacs.config import CfgNode

from baselines.detector_retrieval.detector.catalog import weights_path
from baselines.detector_retrieval.detector.model import Detector, build_detector
from baselines.detector_retrieval.kept_files import kept_file
from os2d.errors import CheckpointError
from os2d.modeling.conversion.resnet import CLASSIFIER, without_wrapper
from os2d.modeling.key_comparison import BATCH_COUNTER, compare_keys, listed
from os2d.modeling.weights_file import load_weights

logger = logging.getLogger(__name__)

PLACES = ("model", "state_dict", "net", "blobs")
"""Entries of a file under which projects put their weights; else they are the file itself."""

BODY = "backbone.body."

BEST_FILE, FINAL_FILE = "model_best.pth", "model_final.pth"
"""What a training leaves: the best network by the first test set, and the last one."""

STATISTICS = (".running_mean", ".running_var")

BLOB_OF_STEM = {
    "stem.conv1.weight": "conv1_w",
    "stem.bn1.weight": "res_conv1_bn_s",
    "stem.bn1.bias": "res_conv1_bn_b",
}
"""Name in the body -> blob of Caffe2."""

BLOB_OF_STAGE = {"layer1": "res2", "layer2": "res3", "layer3": "res4", "layer4": "res5"}
"""``layer<L>.<B>.`` is ``res<L+1>_<B>_``, followed by one of the below."""

BLOB_OF_LAYER = {
    "conv1.weight": "branch2a_w",
    "bn1.weight": "branch2a_bn_s",
    "bn1.bias": "branch2a_bn_b",
    "conv2.weight": "branch2b_w",
    "bn2.weight": "branch2b_bn_s",
    "bn2.bias": "branch2b_bn_b",
    "conv3.weight": "branch2c_w",
    "bn3.weight": "branch2c_bn_s",
    "bn3.bias": "branch2c_bn_b",
    "downsample.0.weight": "branch1_w",
    "downsample.1.weight": "branch1_bn_s",
    "downsample.1.bias": "branch1_bn_b",
}
"""Name inside a block -> end of the blob's name."""


@dataclass(frozen=True)
class _Source:
    """What a file holds.

    Args:
        holds: in words.
        name_in_file: name in the detector -> key of the file; None: the detector keeps its value.
        may_be_left_over: tells which keys of the file have no place in the detector.
    """

    holds: str
    name_in_file: Callable[[str], str | None]
    may_be_left_over: Callable[[str], bool]


DETECTOR = _Source("a whole detector", lambda name: name, lambda key: key.endswith(BATCH_COUNTER))
RESNET = _Source(
    "a ResNet under torchvision's names",
    lambda name: _in_body(name, lambda inside: inside.removeprefix("stem.")),
    lambda key: key.startswith(CLASSIFIER) or key.endswith(BATCH_COUNTER),
)
CAFFE2 = _Source(
    "a ResNet of Caffe2",
    lambda name: _in_body(name, _blob),
    lambda key: key.startswith(("fc1000_", "pred_")) or key.endswith("_momentum") or _is_bias_before_norm(key),
)


def load_init_model(detector: Detector, path: str | Path) -> None:
    """Load a detector of maskrcnn-benchmark or of ours, or a ResNet into the body.

    Raises:
        CheckpointError: the file cannot be read or does not fit; the detector is unchanged then.
    """
    content = load_weights(path)
    place = next((place for place in PLACES if isinstance(content.get(place), Mapping)), "")
    entries = content[place] if place else content
    weights = without_wrapper({key: value for key, value in entries.items() if isinstance(value, Tensor)})
    source = _recognise(weights, path)
    state = detector.state_dict()
    names = {name: key for name in state if (key := source.name_in_file(name)) is not None}
    expected = {key: state[name].shape for name, key in names.items()}
    differences = compare_keys(weights, expected, source.may_be_left_over)
    if differences:
        raise CheckpointError(
            f"{path}: holds {source.holds} that does not fit; check MODEL.BACKBONE.CONV_BODY, MODEL.RESNETS.NORM and "
            f"MODEL.ROI_BOX_HEAD.NUM_CLASSES, or take another file. {differences}"
        )
    left_over = [key for key in weights if key not in expected]
    if left_over:
        logger.info("%s: %d keys have no place here: %s", path, len(left_over), listed(left_over))
    detector.load_state_dict({**state, **{name: weights[key] for name, key in names.items()}})


def load_detector(config: CfgNode, path: str | Path, device: torch.device, num_classes: int | None = None) -> Detector:
    """Return the detector of a file on a device, ready to detect.

    Raises:
        CheckpointError: the file cannot be read or holds something else than a detector of this configuration.
    """
    detector = build_detector(config, num_classes)
    load_init_model(detector, path)
    return detector.to(device).eval()


def load_start_weights(detector: Detector, config: CfgNode) -> None:
    """Load what ``MODEL.WEIGHT`` names; random weights stay only where it is empty."""
    name = config.MODEL.WEIGHT
    logger.info("weights: %s", name or f"random, seed {config.random_seed}")
    if name:
        load_init_model(detector, weights_path(name))


def trained_checkpoint(folder: Path) -> Path:
    """Return the best network that a finished training left in its folder, else the last one.

    Raises:
        CheckpointError: there is neither.
    """
    return kept_file(folder, BEST_FILE, FINAL_FILE)


def _recognise(weights: Mapping[str, Tensor], path: str | Path) -> _Source:
    if f"{BODY}stem.conv1.weight" in weights:
        return DETECTOR
    if "conv1.weight" in weights and "layer1.0.conv1.weight" in weights:
        return RESNET
    if "conv1_w" in weights and "res_conv1_bn_s" in weights:
        return CAFFE2
    found = f"keys such as {listed(weights)}" if weights else "no tensors by name"
    raise CheckpointError(
        f"{path}: expected a detector ({BODY}stem.conv1.weight), a ResNet of torchvision (conv1.weight, layer1.*) or "
        f"one of Caffe2 (conv1_w, res_conv1_bn_s), found {found}"
    )


def _in_body(name: str, name_in_file: Callable[[str], str | None]) -> str | None:
    return name_in_file(name.removeprefix(BODY)) if name.startswith(BODY) else None


def _blob(name: str) -> str | None:
    """Return the blob of a name in the body; Caffe2 had folded the statistics of the norms into their weights."""
    if name.endswith(STATISTICS):
        return None
    if name in BLOB_OF_STEM:
        return BLOB_OF_STEM[name]
    stage, block, inside = name.split(".", 2)
    return f"{BLOB_OF_STAGE[stage]}_{block}_{BLOB_OF_LAYER[inside]}"


def _is_bias_before_norm(key: str) -> bool:
    """Tell the biases of convolutions, zeros that Caffe2 stored although a norm follows."""
    return key == "conv1_b" or (key.startswith("res") and key.endswith("_b") and not key.endswith("_bn_b"))
