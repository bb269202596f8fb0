"""Telling from its keys what a weights file holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from os2d.modeling.conversion import caffe2_cirtorch, caffe2_groupnorm, cirtorch, maskrcnn_benchmark, weakalign
from os2d.modeling.conversion.resnet import WRAPPER, without_wrapper
from os2d.modeling.network_keys import IMAGE_BRANCH

PLACES = ("net", "state_dict", "model", "blobs")
"""Entries of a file under which projects put their weights; else they are the file itself."""


@dataclass(frozen=True)
class Layout:
    """Names under which a project keeps weights."""

    name: str
    holds: str
    sign: str
    """By what it is recognised, in words."""
    recognises: Callable[[Mapping[str, Tensor]], bool]


@dataclass(frozen=True)
class Recognised:
    """The weights of a file and what they are."""

    layout: Layout
    place: str
    """The entry of the file that holds them; empty: the file itself."""
    weights: Mapping[str, Tensor]


def _has(*keys: str) -> Callable[[Mapping[str, Tensor]], bool]:
    return lambda weights: all(key in weights for key in keys)


OS2D = Layout(
    "os2d",
    "a whole OS2D network",
    f"keys that start with {IMAGE_BRANCH}",
    lambda weights: any(key.startswith(IMAGE_BRANCH) for key in weights),
)
WEAKALIGN = Layout(
    "weakalign",
    "weakalign: a ResNet and the regressors of two transformations",
    "keys that start with FeatureExtraction.model.",
    weakalign.recognises,
)
MASKRCNN_BENCHMARK = Layout(
    "maskrcnn-benchmark",
    "a detector of maskrcnn-benchmark",
    "the key module.backbone.body.stem.conv1.weight",
    maskrcnn_benchmark.recognises,
)
CIRTORCH = Layout(
    "cirtorch",
    "an image retrieval network of cirtorch",
    "the keys features.0.weight and features.4.0.conv1.weight",
    cirtorch.recognises,
)
CAFFE2_CIRTORCH = Layout(
    "caffe2-cirtorch",
    "a ResNet of Caffe2 as cirtorch publishes it",
    "the keys 0.weight and 4.0.conv1.weight",
    caffe2_cirtorch.recognises,
)
CAFFE2_GROUPNORM = Layout(
    "caffe2-groupnorm",
    "a ResNet with group norm of Detectron",
    "the blobs conv1_w and conv1_gn_s",
    caffe2_groupnorm.recognises,
)
TORCHVISION = Layout(
    "torchvision",
    "a ResNet under torchvision's names",
    "the keys conv1.weight and layer1.0.conv1.weight",
    _has("conv1.weight", "layer1.0.conv1.weight"),
)
DETECTRON2 = Layout(
    "detectron2",
    "a backbone or a detector under the names of detectron2 (OneNet's files too)",
    "a key that ends with stem.conv1.weight, and one with res2.0.conv1.weight",
    lambda weights: all(any(k.endswith(e) for k in weights) for e in ("stem.conv1.weight", "res2.0.conv1.weight")),
)
UNKNOWN = Layout("unknown", "weights under names that are not known here", "no other layout", lambda weights: True)

LAYOUTS = (
    OS2D,
    WEAKALIGN,
    MASKRCNN_BENCHMARK,
    CIRTORCH,
    CAFFE2_CIRTORCH,
    CAFFE2_GROUPNORM,
    TORCHVISION,
    DETECTRON2,
    UNKNOWN,
)
"""In the order in which they are tried."""


def recognise(content: Mapping[str, Any]) -> Recognised | None:
    """Return the weights of a file and their layout; None if there are no tensors by name in it."""
    for place in PLACES:
        if place in content and _is_weights(content[place]):
            return _recognised(place, content[place])
    return _recognised("", content) if _is_weights(content) else None


def _recognised(place: str, weights: Mapping[str, Tensor]) -> Recognised:
    trained_on_one_gpu = {WRAPPER + key: tensor for key, tensor in weights.items()}
    for layout in LAYOUTS[:-1]:
        for candidate in (weights, without_wrapper(weights), trained_on_one_gpu):
            if layout.recognises(candidate):
                return Recognised(layout, place, candidate)
    return Recognised(UNKNOWN, place, weights)


def _is_weights(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(key, str) and isinstance(tensor, Tensor) for key, tensor in value.items())
    )
