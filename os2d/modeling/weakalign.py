"""Where weakalign's checkpoint (Rocco et al., 2018) keeps the weights this network starts from.

The file holds a ResNet101 as a numbered sequence, and the regressors of an affine map and of a thin-plate spline; the
second regressor is not used.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

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


def is_weakalign(weights: Mapping[str, Tensor]) -> bool:
    """Tell whether these are the weights of a weakalign file."""
    return any(key.startswith("FeatureExtraction.model.") for key in weights)


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
