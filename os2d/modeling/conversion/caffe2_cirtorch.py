"""ResNets trained in Caffe2, as the image retrieval toolbox (cirtorch; Radenovic et al.) published them.

The file is a flat table of weights; it ends before the classifier. The numbers count the layers of a sequence.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from os2d.modeling.conversion.resnet import STAGES, STEM, Converted, renamed_start, take_resnet

PREFIXES = {
    "conv1.": "0.",
    "bn1.": "1.",
    "layer1.": "4.",
    "layer2.": "5.",
    "layer3.": "6.",
    "layer4.": "7.",
}
"""Start of a usual name -> start of the key in the file; the rest is the same."""


def recognises(weights: Mapping[str, Tensor]) -> bool:
    """Tell whether these are such weights."""
    return "0.weight" in weights and "4.0.conv1.weight" in weights


def convert(weights: Mapping[str, Tensor]) -> Converted:
    """Return the ResNet without classifier; keys of other layers are dropped.

    Raises:
        CheckpointError: keys are missing, unexpected or of another shape.
    """
    known = tuple(PREFIXES.values())
    return take_resnet(weights, STEM + STAGES, renamed_start(PREFIXES), lambda key: not key.startswith(known))
