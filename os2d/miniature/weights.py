"""Random weights in the files that the published experiments start from.

Small networks stand for those of the experiments: ResNet-18 and, for OS2D's ResNet-101, ResNet-34. Every file has its
own weights, so that rows that differ by what they start from differ here too. Half precision keeps the files small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from os2d.miniature.parameters import CHANNELS, KERNEL_SIZES, TEMPLATE_GRID, MiniatureParameters
from os2d.miniature.products import random_generator
from os2d.modeling.conversion import caffe2_cirtorch, cirtorch, weakalign
from os2d.modeling.conversion.resnet import STAGES, STEM, renamed_start, resnet_shapes
from os2d.modeling.conversion.torchvision_to_detectron2 import name_in_detectron2
from os2d.modeling.network_keys import CLASS_BRANCH, IMAGE_BRANCH, TRANSFORM_NET
from os2d.modeling.transform_net import TransformNet
from os2d.modeling.weights_file import write_pickle_whole, write_whole

Weights = dict[str, Tensor]

ALL = (*STEM, *STAGES)
TRUNK = (*STEM, "layer1.", "layer2.")
"""What a small OS2D uses; files that only it reads hold no more."""
LAST_NORM = "bn2.weight"
DESCRIPTOR = 512
"""Numbers that the small retrieval networks make of a picture."""
PRETRAINED = Path("ImageNet-RepMet", "pretrain", "output", "resnet101")
"""Where the published instructions leave what was trained on ImageNet without the classes of the episodes."""


@dataclass(frozen=True)
class WeightsFile:
    """One file.

    Args:
        path: below the folder of the miniature.
        architecture: of the small network.
        layout: from weights under torchvision's names to the content of the file.
        parts: starts of the names it holds.
        group_norm: with group norm.
    """

    path: Path
    architecture: str
    layout: Callable[[Weights], Mapping[str, Any]]
    parts: tuple[str, ...] = ALL
    group_norm: bool = False


def write_weights(root: Path, parameters: MiniatureParameters) -> None:
    """Write all files below ``root``."""
    for file in (*OF_OS2D, *OF_BASELINES):
        write_file(root / file.path, file, parameters)


def write_file(path: Path, file: WeightsFile, parameters: MiniatureParameters) -> None:
    """Write one file, whose weights depend on its published path only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = int(random_generator(parameters.seed, str(file.path)).integers(2**31))
    content = file.layout(_random_resnet(file, torch.Generator().manual_seed(seed)))
    if path.suffix == ".pkl":
        write_pickle_whole(path, content)
    else:
        write_whole(path, content)


def _random_resnet(file: WeightsFile, generator: torch.Generator) -> Weights:
    """Return weights as torchvision draws them, with norms that differ a little from channel to channel.

    The last norm of every block is small: there are no statistics of real pictures in the norms to keep the features
    from growing with every block.
    """
    shapes = resnet_shapes(file.architecture, file.group_norm)
    return {key: _random(key, shape, generator) for key, shape in shapes.items() if key.startswith(file.parts)}


def _random(key: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.tensor(1)
    noise = torch.empty(shape, dtype=torch.float16)
    if len(shape) == 4:
        fan_out = shape[0] * shape[2] * shape[3]
        return noise.normal_(0, sqrt(2 / fan_out), generator=generator)
    noise.uniform_(-0.1, 0.1, generator=generator)
    if key.endswith(LAST_NORM):
        return noise + 0.25
    return noise + 1 if key.endswith((".weight", "running_var")) else noise


def _torchvision(weights: Weights) -> dict[str, Any]:
    return dict(weights)


def _state_dict(weights: Weights) -> dict[str, Any]:
    return {"state_dict": weights, "epoch": 90, "arch": "resnet101"}


def _caffe2_of_cirtorch(weights: Weights) -> dict[str, Any]:
    rename = renamed_start(caffe2_cirtorch.PREFIXES)
    return {rename(key): tensor for key, tensor in weights.items()}


def _cirtorch(weights: Weights) -> dict[str, Any]:
    rename = renamed_start(cirtorch.PREFIXES)
    return {"state_dict": {rename(key): tensor for key, tensor in weights.items()}, "epoch": 90}


def _whitening_layer(weights: Weights) -> dict[str, Any]:
    """Return a layer that mixes the descriptors of the network a little."""
    generator = torch.Generator().manual_seed(int(weights["bn1.weight"].float().sum() * 1000))
    noise = torch.empty(DESCRIPTOR, DESCRIPTOR).normal_(0, 0.1 / sqrt(DESCRIPTOR), generator=generator)
    return {"weight": torch.eye(DESCRIPTOR) + noise, "bias": torch.zeros(DESCRIPTOR)}


def _detectron2(weights: Weights) -> dict[str, Any]:
    return {"model": {name_in_detectron2(key): tensor for key, tensor in weights.items()}, "__author__": "torchvision"}


def _regressor(weights: Weights) -> Weights:
    """Return an affine regressor that stays close to the identity, as one that was trained on other photos does."""
    regressor = TransformNet(TEMPLATE_GRID**2, weakalign.AFFINE_PARAMETERS, KERNEL_SIZES, CHANNELS)
    generator = torch.Generator().manual_seed(int(weights["bn1.weight"].float().sum() * 1000))
    regressor.initialise(generator)
    with torch.no_grad():
        regressor.linear.weight.normal_(0, 0.005, generator=generator)
    return regressor.state_dict()


def _weakalign(weights: Weights) -> dict[str, Any]:
    rename = renamed_start(weakalign.BACKBONE_PREFIXES)
    regressor = {weakalign.REGRESSOR_PREFIX + key: tensor for key, tensor in _regressor(weights).items()}
    linear = weakalign.REGRESSOR_PREFIX + weakalign.LINEAR_WEIGHT
    regressor[linear] = regressor[linear].flatten(1)
    return {"state_dict": {**{rename(key): tensor for key, tensor in weights.items()}, **regressor}, "epoch": 1}


def _os2d(weights: Weights) -> dict[str, Any]:
    branches = {branch + key: tensor for branch in (IMAGE_BRANCH, CLASS_BRANCH) for key, tensor in weights.items()}
    regressor = {TRANSFORM_NET + key: tensor for key, tensor in _regressor(weights).items()}
    return {"net": {**branches, **regressor}, "optimizer": None}


def _caffe2(weights: Weights) -> dict[str, Any]:
    """Return the blobs of Caffe2; their norms have no statistics, which were folded into the weights."""
    return {"blobs": {_blob(key): tensor for key, tensor in weights.items() if not key.endswith(NOT_IN_CAFFE2)}}


NOT_IN_CAFFE2 = ("running_mean", "running_var", "num_batches_tracked")
BRANCHES = {"conv1": "branch2a", "conv2": "branch2b", "downsample": "branch1"}
ENDINGS = {"conv": "w", "norm.weight": "bn_s", "norm.bias": "bn_b"}


def _blob(key: str) -> str:
    """Return the blob of Caffe2 that holds a weight of a ResNet of two convolutions a block."""
    if not key.startswith("layer"):
        return {"conv1.weight": "conv1_w", "bn1.weight": "res_conv1_bn_s", "bn1.bias": "res_conv1_bn_b"}[key]
    layer, block, rest = key.split(".", 2)
    is_norm = rest.startswith(("bn", "downsample.1"))
    branch = BRANCHES[rest.partition(".")[0].replace("bn", "conv")]
    ending = ENDINGS[f"norm.{rest.rpartition('.')[2]}" if is_norm else "conv"]
    return f"res{int(layer[-1]) + 1}_{block}_{branch}_{ending}"


def _model(name: str) -> Path:
    return Path("models", name)


OF_OS2D = (
    WeightsFile(_model("resnet50-19c8e357.pth"), "ResNet18", _torchvision, TRUNK),
    WeightsFile(_model("imagenet-caffe-resnet50-features-ac468af-converted.pth"), "ResNet18", _torchvision),
    WeightsFile(_model("resnet50_caffe2_groupnorm.pth"), "ResNet18", _torchvision, TRUNK, group_norm=True),
    WeightsFile(_model("maskrcnn-benchmark/e2e_mask_rcnn_R_50_FPN_1x_converted.pth"), "ResNet18", _torchvision, TRUNK),
    WeightsFile(_model("os2d_v2-init.pth"), "ResNet18", _os2d, TRUNK),
    WeightsFile(_model("resnet101-5d3b4d8f.pth"), "ResNet34", _torchvision, TRUNK),
    WeightsFile(_model("imagenet-caffe-resnet101-features-10a101d-converted.pth"), "ResNet34", _torchvision, TRUNK),
    WeightsFile(_model("maskrcnn-benchmark/e2e_mask_rcnn_R_101_FPN_1x_converted.pth"), "ResNet34", _torchvision, TRUNK),
    WeightsFile(_model("gl18-tl-resnet101-gem-w-a4d43db-converted.pth"), "ResNet34", _torchvision, TRUNK),
    WeightsFile(_model("weakalign_resnet101_affine_tps.pth.tar"), "ResNet34", _weakalign, TRUNK),
)

OF_BASELINES = (
    WeightsFile(_model("coae/resnet101-5d3b4d8f.pth"), "ResNet18", _torchvision),
    WeightsFile(_model("MSRA-R-50.pkl"), "ResNet18", _caffe2),
    WeightsFile(_model("MSRA-R-101.pkl"), "ResNet18", _caffe2),
    WeightsFile(_model("imagenet-caffe-resnet50-features-ac468af.pth"), "ResNet18", _caffe2_of_cirtorch),
    WeightsFile(_model("imagenet-caffe-resnet101-features-10a101d.pth"), "ResNet18", _caffe2_of_cirtorch),
    WeightsFile(_model("retrieval-SfM-120k-resnet101-gem-whiten-22ab0c1.pth"), "ResNet18", _whitening_layer, STEM),
    WeightsFile(PRETRAINED / "model_best_maskrcnnbenchmark.pth.tar", "ResNet18", _state_dict),
    WeightsFile(PRETRAINED / "model_best_cirtorch.pth.tar", "ResNet18", _cirtorch),
    WeightsFile(_model("torchvision-R-18.pkl"), "ResNet18", _detectron2),
    WeightsFile(_model("detectron2/ImageNetPretrained/torchvision/R-50.pkl"), "ResNet18", _detectron2),
)
