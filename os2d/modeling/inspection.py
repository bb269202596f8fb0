"""What a weights file holds, and which configuration loads it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from os2d.config import default_config
from os2d.errors import CheckpointError, ConfigError
from os2d.modeling.checkpoint import kept_keys, load_init_model, network_differences
from os2d.modeling.conversion import recognition
from os2d.modeling.conversion.conversions import CONVERSIONS
from os2d.modeling.conversion.maskrcnn_benchmark import ImageUnits
from os2d.modeling.conversion.recognition import Recognised, recognise
from os2d.modeling.conversion.resnet import CLASSIFIER, STAGES, STEM, resnet_shapes
from os2d.modeling.key_comparison import compare_keys
from os2d.modeling.network import build_os2d
from os2d.modeling.network_description import (
    VERSIONS,
    NetworkDescription,
    configuration_of,
    count_parameters,
    describe_backbone,
    describe_network,
)
from os2d.modeling.weights_file import file_format, load_weights

OPTIMISERS_BY_SETTING: Mapping[str, str] = {
    "nesterov": "sgd",
    "amsgrad": "adam or adamw",
    "betas": "adamax",
    "lr_decay": "adagrad",
    "rho": "adadelta",
    "centered": "rmsprop",
    "lambd": "asgd",
    "etas": "rprop",
}
"""A setting that only one optimiser keeps (of those not named above it) -> its ``train.optim.optim_method``."""

SHOWN_SETTINGS = ("lr", "momentum", "weight_decay", "betas")
CRITERION = "criterion_"
"""Start of the entries of a best network's file that say what it was best in."""


@dataclass
class Inspection:
    """What is in a file; fields that do not apply are None or empty."""

    path: str
    size: int
    sha256: str
    format: str
    layout: str
    holds: str
    recognised_by: str
    place: str
    tensors: int
    parameters: int
    architectures: list[str] = field(default_factory=list)
    group_norm: bool | None = None
    version: str | None = None
    transform_outputs: int | None = None
    merged: bool | None = None
    optimizer: dict[str, Any] | None = None
    best_model: dict[str, Any] = field(default_factory=dict)
    other_entries: list[str] = field(default_factory=list)
    keys_by_start: dict[str, int] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def inspect_file(path: Path) -> Inspection:
    """Return what a weights file holds.

    Raises:
        CheckpointError: the file cannot be read; the message says what it is instead.
    """
    content = load_weights(path)
    found = recognise(content)
    if found is None:
        raise CheckpointError(
            f"{path}: holds no weights by name; its entries: {', '.join(map(_entry, content.items())) or 'none'}"
        )
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    told = Inspection(
        path=str(path),
        size=path.stat().st_size,
        sha256=digest,
        format=file_format(path),
        layout=found.layout.name,
        holds=found.layout.holds,
        recognised_by=found.layout.sign,
        place=found.place,
        tensors=len(found.weights),
        parameters=count_parameters(found.weights, merged=False),
        optimizer=_optimizer(content.get("optimizer")),
        best_model={k.removeprefix(CRITERION): _plain(v) for k, v in content.items() if k.startswith(CRITERION)},
        other_entries=_other_entries(content, found.place),
    )
    if found.layout is recognition.OS2D:
        _tell_network(told, found.weights, path)
    elif found.layout is recognition.TORCHVISION:
        _tell_backbone(told, found.weights, path)
    elif found.layout.name in CONVERSIONS:
        _tell_convertible(told, found, path)
    else:
        told.keys_by_start = dict(Counter(".".join(key.split(".")[:2]) for key in found.weights).most_common())
        told.notes.append("OS2D cannot load it, and nothing here converts it")
    return told


def why_not_loadable(path: Path, overrides: list[str]) -> str | None:
    """Return why ``init.model`` cannot be this file with a configuration of ``KEY VALUE`` pairs; None if it can.

    Raises:
        ConfigError: a key or value is wrong.
    """
    config = default_config()
    if len(overrides) % 2:
        raise ConfigError(f"expected KEY VALUE pairs, got {len(overrides)} words: {' '.join(overrides)}")
    for key, value in zip(overrides[::2], overrides[1::2], strict=True):
        try:
            config.merge_from_list([key, value])
        except Exception as e:  # yacs raises whatever it meets
            raise ConfigError(f"{key}: cannot be set to {value!r}: {e}") from e
    try:
        load_init_model(build_os2d(config), path, kept_keys(config.init))
    except CheckpointError as e:
        return str(e)
    return None


def _tell_network(told: Inspection, weights: Mapping[str, Tensor], path: Path) -> None:
    network = describe_network(weights)
    _tell(told, network)
    told.parameters = count_parameters(weights, merged=bool(network.merged))
    told.config = configuration_of(weights, path)
    if network.transform is None:
        told.problems.append("it has no TransformNet, or one of another kind")
    elif network.transform.outputs not in VERSIONS:
        told.problems.append(f"its TransformNet is {network.transform.version}")
    else:
        told.notes.append(
            "model.use_inverse_geom_model is not told by the weights: False is V1's and True is V2's published value"
        )
    if not network.architectures:
        told.problems.append("its backbone is none of ResNet18, 34, 50 and 101")
    if told.problems:
        return
    config = default_config()
    for key, value in told.config.items():
        config.merge_from_list([key, value])
    if differences := network_differences(build_os2d(config), weights):
        told.problems.append(f"it is not complete, or of another network: {differences}")


def _tell_backbone(told: Inspection, weights: Mapping[str, Tensor], path: Path) -> None:
    backbone = describe_backbone(weights)
    _tell(told, backbone)
    if not backbone.architectures:
        told.problems.append("it is none of ResNet18, 34, 50 and 101")
        return
    parts = tuple(part for part in STEM + STAGES + CLASSIFIER if any(key.startswith(part) for key in weights))
    classifier = weights.get("fc.weight")
    num_classes = classifier.shape[0] if classifier is not None and classifier.ndim == 2 else 1000
    shapes = resnet_shapes(backbone.architectures[0], bool(backbone.group_norm), num_classes)
    differences = compare_keys(weights, {key: shape for key, shape in shapes.items() if key.startswith(parts)})
    if differences:
        told.problems.append(f"it is not complete, or of another network: {differences}")
        return
    told.config = configuration_of(weights, path)
    told.notes.append("a backbone: the TransformNet starts from init.transform, or from the identity")


def _tell_convertible(told: Inspection, found: Recognised, path: Path) -> None:
    try:
        converted = CONVERSIONS[found.layout.name].convert(found.weights, ImageUnits())
    except CheckpointError as e:
        told.problems.append(str(e))
        return
    weights = converted.weights
    is_network = found.layout is recognition.WEAKALIGN
    _tell(told, describe_network(weights) if is_network else describe_backbone(weights))
    told.architectures = [converted.architecture]
    if is_network:
        told.config = {**configuration_of(weights, path), "init.transform": str(path)}
        told.notes.append("init.model takes its ResNet as it is, init.transform its affine regressor")
    else:
        told.notes.append(f"convert it for init.model: oneshot models convert {path}")


def _tell(told: Inspection, network: NetworkDescription) -> None:
    told.architectures = list(network.architectures)
    told.group_norm = network.group_norm
    told.merged = network.merged
    if network.transform is not None:
        told.version = network.transform.version
        told.transform_outputs = network.transform.outputs


def _optimizer(state: object) -> dict[str, Any] | None:
    """Return what the state of an optimiser tells: which one, over how many parameters, its settings."""
    if not isinstance(state, Mapping) or not state.get("param_groups"):
        return None
    groups = state["param_groups"]
    first = groups[0]
    return {
        "method": next((method for setting, method in OPTIMISERS_BY_SETTING.items() if setting in first), "unknown"),
        "parameters": sum(len(group["params"]) for group in groups),
        "with_state": len(state.get("state", {})),
        **{setting: _plain(first[setting]) for setting in SHOWN_SETTINGS if setting in first},
    }


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold."""
    if isinstance(value, Tensor):
        return value.tolist()
    return value if isinstance(value, bool | int | float | str | list | tuple | None) else str(value)


def _other_entries(content: Mapping[str, Any], place: str) -> list[str]:
    if not place:
        return []
    told = {place, "optimizer"}
    return [_entry(item) for item in content.items() if item[0] not in told and not str(item[0]).startswith(CRITERION)]


def _entry(item: tuple[Any, Any]) -> str:
    name, value = item
    return (
        f"{name} {value}"
        if isinstance(value, int | float | str) and len(str(value)) < 50
        else f"{name} ({type(value).__name__})"
    )
