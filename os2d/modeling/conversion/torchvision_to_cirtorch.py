"""A torchvision ResNet for the image retrieval toolbox (cirtorch): the inverse of ``cirtorch``.

The classifier has no place there and is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from os2d.modeling.conversion.cirtorch import PREFIXES
from os2d.modeling.conversion.resnet import CLASSIFIER, STAGES, STEM, Converted, renamed_start, take_resnet


def convert(weights: Mapping[str, Tensor]) -> Converted:
    """Return the layers under the names of the toolbox.

    Raises:
        CheckpointError: keys are missing, unexpected or of another shape.
    """
    resnet = take_resnet(weights, STEM + STAGES, lambda name: name, lambda key: key.startswith(CLASSIFIER))
    rename = renamed_start(PREFIXES)
    return Converted({rename(key): t for key, t in resnet.weights.items()}, resnet.architecture, resnet.dropped)
