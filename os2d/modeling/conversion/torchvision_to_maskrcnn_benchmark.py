"""A torchvision ResNet as maskrcnn-benchmark takes it to start a training: the weights alone, under the same names."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from os2d.modeling.conversion.resnet import CLASSIFIER, STAGES, STEM, Converted, take_resnet


def convert(weights: Mapping[str, Tensor]) -> Converted:
    """Return the whole ResNet.

    Raises:
        CheckpointError: keys are missing, unexpected or of another shape.
    """
    return take_resnet(weights, STEM + STAGES + CLASSIFIER, lambda name: name, lambda key: False)
