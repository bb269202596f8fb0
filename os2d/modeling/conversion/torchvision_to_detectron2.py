"""A torchvision ResNet for detectron2, as its own conversion script writes it; the classifier goes along unused."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from os2d.modeling.conversion.resnet import CLASSIFIER, STAGES, STEM, Converted, take_resnet


def name_in_detectron2(key: str) -> str:
    """Return what detectron2 calls a weight of a torchvision ResNet."""
    if "layer" not in key:
        key = f"stem.{key}"
    key = re.sub(r"layer(\d)", lambda stage: f"res{int(stage[1]) + 1}", key)
    key = re.sub(r"bn(\d)", r"conv\1.norm", key)
    return key.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")


def convert(weights: Mapping[str, Tensor]) -> Converted:
    """Return all layers under the names of detectron2.

    Raises:
        CheckpointError: keys are missing, unexpected or of another shape.
    """
    resnet = take_resnet(weights, STEM + STAGES + CLASSIFIER, lambda name: name, lambda key: False)
    renamed = {name_in_detectron2(key): tensor for key, tensor in resnet.weights.items()}
    return Converted(renamed, resnet.architecture, resnet.dropped)
