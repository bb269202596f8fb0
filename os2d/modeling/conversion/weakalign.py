"""Where weakalign's checkpoint (Rocco et al., 2018) keeps the weights this network starts from.

The file holds a ResNet101 as a numbered sequence, and the regressors of an affine map and of a thin-plate spline; the
second regressor is not used.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from os2d.errors import CheckpointError
from os2d.modeling.conversion.resnet import STEM, Converted, renamed_start, take_resnet
from os2d.modeling.key_comparison import compare_keys
from os2d.modeling.network_keys import CLASS_BRANCH, IMAGE_BRANCH, TRANSFORM_NET
from os2d.modeling.transform_net import TransformNet

BACKBONE_PREFIXES = {
    "conv1.": "FeatureExtraction.model.0.",
    "bn1.": "FeatureExtraction.model.1.",
    "layer1.": "FeatureExtraction.model.4.",
    "layer2.": "FeatureExtraction.model.5.",
    "layer3.": "FeatureExtraction.model.6.",
}
"""Start of a key of the backbone -> start of the key in the file; the rest is the same."""

REGRESSOR_PREFIX = "FeatureRegression."
"""Start of the keys of the affine regressor in the file; the rest is the key of the TransformNet."""

LINEAR_WEIGHT = "linear.weight"
"""The one tensor that is stored in another shape: (P, channels * kernel * kernel) for (P, channels, kernel, kernel)."""

TEMPLATE_CELLS, KERNEL_SIZES, CHANNELS, AFFINE_PARAMETERS = 15 * 15, [7, 5, 5], [128, 64], 6
"""Of the regressor; those of the published network too."""


def recognises(weights: Mapping[str, Tensor]) -> bool:
    """Tell whether these are the weights of a weakalign file."""
    return any(key.startswith("FeatureExtraction.model.") for key in weights)


def convert(weights: Mapping[str, Tensor]) -> Converted:
    """Return a whole network with merged branches: the backbone, twice by name, and the affine regressor.

    Raises:
        CheckpointError: keys are missing, unexpected or of another shape.
    """
    known = (*BACKBONE_PREFIXES.values(), REGRESSOR_PREFIX)
    rename = renamed_start(BACKBONE_PREFIXES)
    parts = (*STEM, "layer1.", "layer2.", "layer3.")
    resnet = take_resnet(weights, parts, rename, lambda key: not key.startswith(known[:-1]))
    regressor = regressor_weights(weights, KERNEL_SIZES[-1])
    with torch.device("meta"):  # only names and shapes are wanted
        transform_net = TransformNet(TEMPLATE_CELLS, AFFINE_PARAMETERS, KERNEL_SIZES, CHANNELS)
    expected = {REGRESSOR_PREFIX + key: tensor.shape for key, tensor in transform_net.state_dict().items()}
    differences = compare_keys({REGRESSOR_PREFIX + key: tensor for key, tensor in regressor.items()}, expected)
    if differences:
        raise CheckpointError(f"not the affine regressor of weakalign: {differences}")
    branches = {branch + key: t for branch in (IMAGE_BRANCH, CLASS_BRANCH) for key, t in resnet.weights.items()}
    network = branches | {TRANSFORM_NET + key: tensor for key, tensor in regressor.items()}
    dropped = tuple(key for key in resnet.dropped if not key.startswith(REGRESSOR_PREFIX))
    return Converted(network, resnet.architecture, dropped)


def backbone_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the backbone's weights of a file under our names."""
    return {
        own + key.removeprefix(theirs): tensor
        for own, theirs in BACKBONE_PREFIXES.items()
        for key, tensor in weights.items()
        if key.startswith(theirs)
    }


def regressor_weights(weights: Mapping[str, Tensor], kernel_size: int) -> dict[str, Tensor]:
    """Return the affine regressor's weights of a file under the names and in the shapes of the TransformNet."""
    found = {
        key.removeprefix(REGRESSOR_PREFIX): tensor
        for key, tensor in weights.items()
        if key.startswith(REGRESSOR_PREFIX)
    }
    linear = found.get(LINEAR_WEIGHT)
    if linear is not None and linear.ndim == 2 and linear.shape[1] % kernel_size**2 == 0:
        found[LINEAR_WEIGHT] = linear.reshape(len(linear), -1, kernel_size, kernel_size)
    return found
