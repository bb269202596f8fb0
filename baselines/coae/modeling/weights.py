"""Weights files: checkpoints in the published layout, and ImageNet classifiers for the ResNet.

A file either fits and is loaded completely, or nothing is changed and the error names what does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from baselines.coae.modeling.model import CoAE
from baselines.coae.modeling.resnet import BASE_PARTS, TOP_PARTS
from os2d.errors import CheckpointError
from os2d.modeling.conversion import recognition
from os2d.modeling.conversion.conversions import CONVERSIONS
from os2d.modeling.conversion.resnet import CLASSIFIER, renamed_start
from os2d.modeling.key_comparison import compare_keys, shapes_of
from os2d.modeling.weights_file import load_weights, on_cpu

POOLING_MODE = "align"

RESNET_NAMES: Mapping[str, str] = {
    **{f"{part}.": f"RCNN_base.{position}." for position, part in enumerate(BASE_PARTS)},
    **{f"{part}.": f"RCNN_top.{position}." for position, part in enumerate(TOP_PARTS)},
}
"""Start of a torchvision name -> start of the name in CoAE."""


def checkpoint(model: CoAE, optimizer: Optimizer | None, *, session: int, epoch: int) -> dict[str, Any]:
    """Return what published checkpoints hold, on the CPU; ``epoch`` is the one to go on with."""
    content = {
        "session": session,
        "epoch": epoch,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict() if optimizer else None,
        "pooling_mode": POOLING_MODE,
        "class_agnostic": True,
    }
    return on_cpu(content)


def load_init_model(model: CoAE, path: str | Path) -> dict[str, Any] | None:
    """Load a checkpoint of the whole network, or a ResNet under torchvision's names for its base and top.

    Returns:
        The state of the optimiser if the file has one.

    Raises:
        CheckpointError: the file cannot be read or does not fit; the model is unchanged then.
    """
    content = load_weights(path)
    if _is_network(content.get("model")):
        return _load_network(model, content, path)
    found = recognition.recognise(content)
    if found is None:
        raise CheckpointError(f"{path}: expected weights by name, at the top or under model or state_dict")
    if found.layout.name in CONVERSIONS:
        raise CheckpointError(
            f"{path}: holds {found.layout.holds}, whose names are others; convert it first: oneshot models convert "
            f"{path}, and take the file that this writes"
        )
    if found.layout is not recognition.TORCHVISION:
        raise CheckpointError(
            f"{path}: holds {found.layout.holds}; expected a checkpoint of CoAE or a ResNet under torchvision's names"
        )
    _load_resnet(model, found.weights, path)
    return None


def _is_network(weights: object) -> bool:
    return isinstance(weights, Mapping) and any(str(key).startswith("match_net.") for key in weights)


def _load_network(model: CoAE, content: Mapping[str, Any], path: str | Path) -> dict[str, Any] | None:
    if content.get("pooling_mode", POOLING_MODE) != POOLING_MODE:
        raise CheckpointError(f"{path}: was trained with pooling {content['pooling_mode']!r}; only align exists here")
    if not content.get("class_agnostic", True):
        raise CheckpointError(f"{path}: regresses boxes per class; only class-agnostic regression exists here")
    _load_fitting(model, content["model"], path)
    return content.get("optimizer")


def _load_resnet(model: CoAE, weights: Mapping[str, Tensor], path: str | Path) -> None:
    """Load base and top; the classifier of the file is left out, the rest of the network keeps its values."""
    rename = renamed_start(RESNET_NAMES)
    resnet = {rename(key): tensor for key, tensor in weights.items() if not key.startswith(CLASSIFIER)}
    others = {
        key: tensor for key, tensor in model.state_dict().items() if not key.startswith(("RCNN_base", "RCNN_top"))
    }
    _load_fitting(model, {**others, **resnet}, path)


def _load_fitting(model: CoAE, weights: Mapping[str, Tensor], path: str | Path) -> None:
    state = model.state_dict()
    differences = compare_keys(weights, shapes_of(state))
    if differences:
        raise CheckpointError(
            f"{path}: does not fit the network; check model.net, model.group_norm, model.anchor_scales and "
            f"model.anchor_ratios, or take another file. {differences}"
        )
    with torch.no_grad():  # what old files lack, the count of batches, keeps its value
        model.load_state_dict({key: weights.get(key, tensor) for key, tensor in state.items()})
