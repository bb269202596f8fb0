"""What weights under our names tell about the network they belong to, and which configuration builds it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from os2d.modeling.backbone import ARCHITECTURES, CUTS
from os2d.modeling.network_keys import CLASS_BRANCH, IMAGE_BRANCH, TRANSFORM_LINEAR, TRANSFORM_NET

PUBLISHED_VALUES: Mapping[str, Any] = {
    "model.backbone_cut": "layer3",
    "model.template_grid": 15,
    "model.transform_net.kernel_sizes": [7, 5, 5],
    "model.transform_net.channels": [128, 64],
}
"""Keys that no published network sets, with their defaults."""

VERSIONS = {4: "V1", 6: "V2"}
"""Outputs of the TransformNet -> what the paper calls such a network."""

NOT_PARAMETERS = (".running_mean", ".running_var", ".num_batches_tracked")


@dataclass(frozen=True)
class TransformDescription:
    """The TransformNet."""

    outputs: int
    template_cells: int
    kernel_sizes: list[int]
    channels: list[int]

    @property
    def version(self) -> str:
        """Return V1 or V2, by the number of outputs."""
        return VERSIONS.get(self.outputs, f"neither V1 nor V2 ({self.outputs} outputs)")


@dataclass(frozen=True)
class NetworkDescription:
    """A backbone, and what belongs to it if the weights are those of a whole network."""

    architectures: tuple[str, ...]
    """Those that have these stages: with few stages several, for something else none."""
    cut: str
    """The last stage of a backbone that was cut; empty if it is not."""
    group_norm: bool
    merged: bool | None = None
    transform: TransformDescription | None = None

    def config_keys(self) -> dict[str, Any]:
        """Return the keys of ``model`` that build such a network; those of rare values only where they differ."""
        return {key: value for key, value in self.all_keys().items() if PUBLISHED_VALUES.get(key) != value}

    def all_keys(self) -> dict[str, Any]:
        """Return every key of ``model`` that the weights tell."""
        told: dict[str, Any] = {
            "model.backbone_arch": self.architectures[0] if self.architectures else None,
            "model.backbone_cut": self.cut or None,
            "model.use_group_norm": self.group_norm,
            "model.merge_branch_parameters": self.merged,
        }
        if self.transform is not None:
            told |= {
                "model.use_simplified_affine_model": {4: True, 6: False}.get(self.transform.outputs),
                "model.template_grid": isqrt(self.transform.template_cells),
                "model.transform_net.kernel_sizes": self.transform.kernel_sizes,
                "model.transform_net.channels": self.transform.channels,
            }
        return {key: value for key, value in told.items() if value is not None}


def describe_backbone(weights: Mapping[str, Tensor]) -> NetworkDescription:
    """Describe a ResNet under torchvision's names, whole or cut."""
    blocks: dict[str, set[str]] = {}
    for key in weights:
        if match := re.match(r"(layer[1-4])\.(\d+)\.", key):
            blocks.setdefault(match[1], set()).add(match[2])
    counts = [len(blocks[stage]) for stage in sorted(blocks)]
    has_bottlenecks = "layer1.0.conv3.weight" in weights
    architectures = tuple(
        name
        for name, (block, blocks_per_stage) in ARCHITECTURES.items()
        if counts and blocks_per_stage[: len(counts)] == counts and (block.expansion == 4) == has_bottlenecks
    )
    last = max(blocks, default="")
    return NetworkDescription(
        architectures,
        cut=last if last in CUTS else "",
        group_norm="bn1.weight" in weights and "bn1.running_mean" not in weights,
    )


def describe_network(weights: Mapping[str, Tensor]) -> NetworkDescription:
    """Describe a whole network under the names of published checkpoints."""
    image_branch = {k.removeprefix(IMAGE_BRANCH): t for k, t in weights.items() if k.startswith(IMAGE_BRANCH)}
    backbone = describe_backbone(image_branch)
    return NetworkDescription(
        backbone.architectures,
        backbone.cut,
        backbone.group_norm,
        merged=different_twin(weights) is None,
        transform=_describe_transform(weights),
    )


def different_twin(weights: Mapping[str, Tensor]) -> str | None:
    """Return the first key of the image branch whose twin in the class branch has other values; None: all are equal."""
    for key, tensor in weights.items():
        if key.startswith(IMAGE_BRANCH):
            twin = weights.get(CLASS_BRANCH + key.removeprefix(IMAGE_BRANCH))
            if twin is None or (twin.data_ptr() != tensor.data_ptr() and not torch.equal(twin, tensor)):
                return key
    return None


def count_parameters(weights: Mapping[str, Tensor], merged: bool) -> int:
    """Return how many numbers learn; merged branches count once."""
    return sum(
        tensor.numel()
        for key, tensor in weights.items()
        if not key.endswith(NOT_PARAMETERS) and not (merged and key.startswith(CLASS_BRANCH))
    )


def _describe_transform(weights: Mapping[str, Tensor]) -> TransformDescription | None:
    hidden = [
        weights[key] for key in sorted(weights) if re.fullmatch(re.escape(TRANSFORM_NET) + r"conv\.\d+\.weight", key)
    ]
    convolutions = [weight for weight in hidden if weight.ndim == 4]
    last = weights.get(TRANSFORM_LINEAR[0])
    if not convolutions or last is None or last.ndim != 4:
        return None
    return TransformDescription(
        outputs=last.shape[0],
        template_cells=convolutions[0].shape[1],
        kernel_sizes=[weight.shape[-1] for weight in (*convolutions, last)],
        channels=[weight.shape[0] for weight in convolutions],
    )


def configuration_of(weights: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """Return the keys that build the network of these weights and load them from ``path``.

    ``model.use_inverse_geom_model`` is no property of the weights; its value is that of the published networks.
    """
    if not any(key.startswith(IMAGE_BRANCH) for key in weights):
        return {**describe_backbone(weights).config_keys(), "init.model": str(path)}
    keys = describe_network(weights).config_keys()
    if "model.use_simplified_affine_model" in keys:
        keys["model.use_inverse_geom_model"] = not keys["model.use_simplified_affine_model"]
    return {**keys, "init.model": str(path)}
