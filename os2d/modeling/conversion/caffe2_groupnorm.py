"""Classifiers with group norm of Detectron (``R-50-GN.pkl``): a pickle of Caffe2 blobs.

The first filter expects BGR images in [0, 255] and is fitted to ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from os2d.modeling.conversion.first_convolution import from_bytes
from os2d.modeling.conversion.resnet import CLASSIFIER, STAGES, STEM, Converted, take_resnet

STEM_AND_CLASSIFIER = {
    "conv1.weight": "conv1_w",
    "bn1.weight": "conv1_gn_s",
    "bn1.bias": "conv1_gn_b",
    "fc.weight": "pred_w",
    "fc.bias": "pred_b",
}
"""Usual name -> blob."""

STAGE = {"layer1": "res2", "layer2": "res3", "layer3": "res4", "layer4": "res5"}
"""``layer<L>.<B>.`` is ``res<L+1>_<B>_``, followed by one of the below."""

BLOCK = {
    "conv1.weight": "branch2a_w",
    "bn1.weight": "branch2a_gn_s",
    "bn1.bias": "branch2a_gn_b",
    "conv2.weight": "branch2b_w",
    "bn2.weight": "branch2b_gn_s",
    "bn2.bias": "branch2b_gn_b",
    "conv3.weight": "branch2c_w",
    "bn3.weight": "branch2c_gn_s",
    "bn3.bias": "branch2c_gn_b",
    "downsample.0.weight": "branch1_w",
    "downsample.1.weight": "branch1_gn_s",
    "downsample.1.bias": "branch1_gn_b",
}
"""Name inside a block -> end of the blob's name."""

FIRST_FILTER = "conv1.weight"


def blob_name(name: str) -> str:
    """Return the blob of a usual name."""
    if name in STEM_AND_CLASSIFIER:
        return STEM_AND_CLASSIFIER[name]
    stage, block, inside = name.split(".", 2)
    return f"{STAGE[stage]}_{block}_{BLOCK[inside]}"


def recognises(weights: Mapping[str, Tensor]) -> bool:
    """Tell whether these are such weights."""
    return "conv1_w" in weights and "conv1_gn_s" in weights


def convert(weights: Mapping[str, Tensor]) -> Converted:
    """Return the whole ResNet with its classifier; nothing may be left over.

    Raises:
        CheckpointError: keys are missing, unexpected or of another shape.
    """
    in_single = {key: tensor.float() for key, tensor in weights.items()}
    resnet = take_resnet(in_single, STEM + STAGES + CLASSIFIER, blob_name, lambda key: False, group_norm=True)
    first = from_bytes(resnet.weights[FIRST_FILTER])
    return Converted({**resnet.weights, FIRST_FILTER: first}, resnet.architecture, resnet.dropped)
