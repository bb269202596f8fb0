"""The names and shapes of ResNets, and taking exactly those out of the weights of another project."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor, nn
from torchvision.models import ResNet

from os2d.errors import CheckpointError
from os2d.modeling.backbone import ARCHITECTURES
from os2d.modeling.key_comparison import compare_keys

STEM = ("conv1.", "bn1.")
STAGES = ("layer1.", "layer2.", "layer3.", "layer4.")
CLASSIFIER = ("fc.",)

WRAPPER = "module."
"""Start of every key of a network that was trained on several GPUs."""


@dataclass(frozen=True)
class Converted:
    """Weights under the names of the target."""

    weights: dict[str, Tensor]
    architecture: str
    dropped: tuple[str, ...]
    """Keys of the file that have no place in the target."""


@cache
def resnet_shapes(architecture: str, group_norm: bool = False, num_classes: int = 1000) -> Mapping[str, torch.Size]:
    """Return name -> shape of a whole ResNet with its classifier."""
    block, blocks_per_stage = ARCHITECTURES[architecture]
    norm_layer = partial(nn.GroupNorm, 32) if group_norm else nn.BatchNorm2d
    with torch.device("meta"):  # only names and shapes are wanted
        resnet = ResNet(block, blocks_per_stage, num_classes=num_classes, norm_layer=norm_layer)
    return {key: tensor.shape for key, tensor in resnet.state_dict().items()}


def take_resnet(
    weights: Mapping[str, Tensor],
    parts: tuple[str, ...],
    name_in_file: Callable[[str], str],
    may_be_dropped: Callable[[str], bool],
    group_norm: bool = False,
) -> Converted:
    """Return the named parts of a ResNet, under its usual names; the architecture is the one that fits.

    Args:
        weights: of the file.
        parts: starts of the names to take.
        name_in_file: usual name -> key of the file.
        may_be_dropped: tells which keys of the file may be left over.
        group_norm: the norms have no running statistics.

    Raises:
        CheckpointError: no ResNet has exactly these keys; the message lists the keys (as in the file) that keep the
            most similar one from fitting.
    """
    classifier = weights.get(name_in_file("fc.weight"))
    num_classes = classifier.shape[0] if classifier is not None and classifier.ndim == 2 else 1000
    names, differences = {}, {}
    for architecture in ARCHITECTURES:
        shapes = resnet_shapes(architecture, group_norm, num_classes)
        names[architecture] = {key: name_in_file(key) for key in shapes if key.startswith(parts)}
        expected = {name: shapes[key] for key, name in names[architecture].items()}
        differences[architecture] = compare_keys(weights, expected, may_be_dropped)
    best = min(ARCHITECTURES, key=lambda architecture: len(differences[architecture]))
    if differences[best]:
        norm = " with group norm" if group_norm else ""
        raise CheckpointError(f"not the weights of a {best}{norm}, the most similar network: {differences[best]}")
    taken = {key: weights[name] for key, name in names[best].items() if name in weights}
    used = set(names[best].values())
    return Converted(taken, best, tuple(key for key in weights if key not in used))


def renamed_start(prefixes: Mapping[str, str]) -> Callable[[str], str]:
    """Return the function that replaces the start of a name by the table."""

    def rename(name: str) -> str:
        for start, other in prefixes.items():
            if name.startswith(start):
                return other + name.removeprefix(start)
        return name

    return rename


def without_wrapper(weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the weights without ``module.`` before every name, if it is there."""
    if weights and all(key.startswith(WRAPPER) for key in weights):
        return {key.removeprefix(WRAPPER): tensor for key, tensor in weights.items()}
    return weights
