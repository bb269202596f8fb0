"""Networks of the image retrieval toolbox (cirtorch; Radenovic et al.): a ResNet, pooling and whitening.

The weights lie under ``state_dict``; pooling and whitening have no place here and are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from os2d.modeling.conversion.resnet import STAGES, STEM, Converted, renamed_start, take_resnet

PREFIXES = {
    "conv1.": "features.0.",
    "bn1.": "features.1.",
    "layer1.": "features.4.",
    "layer2.": "features.5.",
    "layer3.": "features.6.",
    "layer4.": "features.7.",
}
"""Start of a usual name -> start of the key in the file; the rest is the same."""


def recognises(weights: Mapping[str, Tensor]) -> bool:
    """Tell whether these are such weights."""
    return "features.0.weight" in weights and "features.4.0.conv1.weight" in weights


def convert(weights: Mapping[str, Tensor]) -> Converted:
    """Return the ResNet without classifier.

    Raises:
        CheckpointError: keys are missing, unexpected or of another shape.
    """
    known = tuple(PREFIXES.values())
    return take_resnet(weights, STEM + STAGES, renamed_start(PREFIXES), lambda key: not key.startswith(known))
