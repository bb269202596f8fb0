"""Fitting weights files to the network, and writing its checkpoints.

A file either fits and is loaded completely, or nothing is changed and the error names what does not fit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from yacs.config import CfgNode

from os2d.errors import CheckpointError
from os2d.modeling.backbone import Backbone
from os2d.modeling.conversion import recognition, weakalign
from os2d.modeling.conversion.conversions import CONVERSIONS
from os2d.modeling.conversion.recognition import Recognised, recognise
from os2d.modeling.conversion.resnet import CLASSIFIER, STAGES
from os2d.modeling.key_comparison import KeyDifferences, compare_keys, shapes_of
from os2d.modeling.network import Os2d
from os2d.modeling.network_description import (
    NetworkDescription,
    describe_backbone,
    describe_network,
    different_twin,
)
from os2d.modeling.network_keys import TRANSFORM_LINEAR, TRANSFORM_NET
from os2d.modeling.weights_file import load_weights, on_cpu, write_whole

logger = logging.getLogger(__name__)


def load_initial_weights(model: Os2d, init: CfgNode) -> dict[str, Any] | None:
    """Load the files that ``init.model`` and then ``init.transform`` name, if any; return the optimiser's state."""
    keeping = kept_keys(init)
    optimizer_state = load_init_model(model, init.model, keeping) if init.model else None
    if init.transform:
        load_init_transform(model, init.transform, keeping)
    return optimizer_state


def kept_keys(init: CfgNode) -> tuple[str, ...]:
    """Return the keys of the network that no file may set: with ``init.skip_transform_linear`` the last layer's."""
    return TRANSFORM_LINEAR if init.skip_transform_linear else ()


def load_init_model(model: Os2d, path: str | Path, keeping: Collection[str] = ()) -> dict[str, Any] | None:
    """Load a checkpoint of the whole network, or a backbone for both branches.

    A backbone may be a torchvision ResNet (its last stages and classifier are left out) or that of weakalign.

    Args:
        model: the network.
        path: of the file.
        keeping: keys of the network that keep their values, whatever the file holds.

    Returns:
        The state of the optimiser if the file has one that fits what was loaded.

    Raises:
        CheckpointError: if the file cannot be read or does not fit; the model is unchanged then.
    """
    content = load_weights(path)
    found = recognise(content)
    if found is None:
        raise CheckpointError(f"{path}: expected weights by name, at the top or under {', '.join(recognition.PLACES)}")
    if found.layout is recognition.OS2D:
        return _load_network(model, found.weights, path, keeping, content.get("optimizer"))
    weights = _backbone_weights(found, path)
    backbone = model.net_feature_maps
    differences = backbone_differences(backbone, weights)
    if differences:
        hints = hints_on_config(describe_backbone(weights), describe_backbone(backbone.state_dict()))
        raise CheckpointError(_does_not_fit(path, hints, differences))
    fitting = _complete(backbone.state_dict(), weights)
    backbone.load_state_dict(fitting)
    if not model.merged:
        model.net_label_features.net_class_features.load_state_dict(fitting)
    return None


def load_init_transform(model: Os2d, path: str | Path, keeping: Collection[str] = ()) -> None:
    """Load the affine regressor of a weakalign file into the TransformNet.

    Raises:
        CheckpointError: if the file cannot be read or does not fit; the model is unchanged then.
    """
    found = recognise(load_weights(path))
    if found is None or found.layout is not recognition.WEAKALIGN:
        raise CheckpointError(
            f"{path}: expected a weakalign checkpoint, with FeatureExtraction.* under 'state_dict'"
            + (f"; this is {found.layout.holds}" if found else "")
        )
    transform_net = model.os2d_head_creator.aligner.parameter_regressor
    regressor = weakalign.regressor_weights(found.weights, transform_net.linear.kernel_size[0])
    state = transform_net.state_dict()
    kept = {key.removeprefix(TRANSFORM_NET): state[key.removeprefix(TRANSFORM_NET)] for key in keeping}
    fitting = {**regressor, **kept}
    differences = compare_keys(fitting, shapes_of(state))
    if differences:
        raise CheckpointError(_does_not_fit(path, "", differences))
    transform_net.load_state_dict(_complete(state, fitting))


def save_checkpoint(path: str | Path, net: nn.Module, optimizer_state: Mapping[str, Any] | None, **extra: Any) -> None:
    """Write ``{"net": weights on the CPU, "optimizer": ..., **extra}``; the file appears complete or not at all.

    Raises:
        CheckpointError: if the file cannot be written, for example because the disk is full.
    """
    write_whole(path, {"net": on_cpu(net.state_dict()), "optimizer": optimizer_state, **extra})


def network_differences(model: Os2d, weights: Mapping[str, Tensor]) -> KeyDifferences:
    """Return how the weights of a whole network differ from what the model has."""
    return compare_keys(weights, shapes_of(model.state_dict()))


def backbone_differences(backbone: Backbone, weights: Mapping[str, Tensor]) -> KeyDifferences:
    """Return how the weights of a ResNet differ from what the backbone has; the parts it is cut before do not count."""
    return compare_keys(weights, shapes_of(backbone.state_dict()), _is_cut_off(backbone))


def hints_on_config(file: NetworkDescription, network: NetworkDescription) -> str:
    """Return which configuration keys would build the network of the file; empty if they agree."""
    of_file, of_network = file.all_keys(), network.all_keys()
    if set(file.architectures) & set(network.architectures):
        of_file["model.backbone_arch"] = of_network["model.backbone_arch"]
    different = [f"{key} {value}" for key, value in of_file.items() if value != of_network.get(key, value)]
    return f"this file needs {', '.join(different)}" if different else ""


def _load_network(
    model: Os2d,
    weights: Mapping[str, Tensor],
    path: str | Path,
    keeping: Collection[str],
    optimizer_state: dict[str, Any] | None,
) -> dict[str, Any] | None:
    state = model.state_dict()
    kept = {key: state[key] for key in keeping}
    differences = network_differences(model, {**weights, **kept})
    if differences:
        hints = hints_on_config(describe_network({**weights, **kept}), describe_network(state))
        if set(differences.of_another_shape) == set(TRANSFORM_LINEAR) and len(differences) == len(TRANSFORM_LINEAR):
            hints += "; or set init.skip_transform_linear True to load all but this layer, which stays the identity"
        raise CheckpointError(_does_not_fit(path, hints, differences))
    key = different_twin(weights) if model.merged else None
    if key is not None:
        raise CheckpointError(
            f"{path}: its two branches have different weights ({key}); set model.merge_branch_parameters to False"
        )
    model.load_state_dict(_complete(state, {**weights, **kept}))
    if kept:
        logger.warning(
            "%s: loaded without the last layer of the TransformNet (%s), which stays the identity, and without the "
            "state of the optimiser, as init.skip_transform_linear asks",
            path,
            ", ".join(kept),
        )
        return None
    return optimizer_state


def _backbone_weights(found: Recognised, path: str | Path) -> Mapping[str, Tensor]:
    """Return the weights of a ResNet under torchvision's names.

    Raises:
        CheckpointError: the file must be converted first.
    """
    if found.layout is recognition.WEAKALIGN:
        return weakalign.backbone_weights(found.weights)
    if found.layout.name in CONVERSIONS:
        raise CheckpointError(
            f"{path}: holds {found.layout.holds}, whose names are others; convert it first: "
            f"oneshot models convert {path}, and take the file that this writes"
        )
    if found.layout is recognition.DETECTRON2:
        raise CheckpointError(f"{path}: holds {found.layout.holds}, which no OS2D network can start from")
    return found.weights


def _complete(state: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights in the order of the state; what old files lack, the count of batches, is the state's own."""
    return {key: weights.get(key, tensor) for key, tensor in state.items()}


def _does_not_fit(path: str | Path, hints: str, differences: KeyDifferences) -> str:
    advice = hints.removeprefix("; ") or "check the keys of `model`, or take another file"
    return f"{path}: does not fit the network; {advice}. {differences}"


def _is_cut_off(backbone: Backbone) -> Callable[[str], bool]:
    """Return what tells the keys of the parts of an ImageNet classifier that a backbone is cut before."""
    kept = {f"{name}." for name, _ in backbone.named_children()}
    cut_off = tuple(part for part in STAGES + CLASSIFIER if part not in kept)
    return lambda key: key.startswith(cut_off)
