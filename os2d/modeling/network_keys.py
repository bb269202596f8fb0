"""How the names of a published checkpoint's weights begin."""

from __future__ import annotations

IMAGE_BRANCH = "net_feature_maps."
CLASS_BRANCH = "net_label_features.net_class_features."
TRANSFORM_NET = "os2d_head_creator.aligner.parameter_regressor."

TRANSFORM_LINEAR = (f"{TRANSFORM_NET}linear.weight", f"{TRANSFORM_NET}linear.bias")
"""The last layer of the TransformNet: the only one that V1 and V2 have in different shapes."""
