"""Weights files: reading them safely, fitting them to the network, writing them so that no half file remains.

A file either fits and is loaded completely, or nothing is changed and the error names what does not fit.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from os2d.errors import CheckpointError
from os2d.modeling import weakalign
from os2d.modeling.backbone import Backbone
from os2d.modeling.model import Os2d

SAFE_GLOBALS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    Namespace,  # weakalign keeps its command line
    np.dtype,
    *(type(np.dtype(name)) for name in ("float32", "float64", "int64")),
    # The best criterion value so far may be a numpy scalar; numpy moved its constructor once.
    (np._core.multiarray.scalar, "numpy._core.multiarray.scalar"),  # type: ignore[attr-defined]
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
]
"""What a weights file may hold besides tensors and plain Python values; nothing here runs code from the file."""

LISTED_KEYS = 5
"""Keys of each kind that an error message spells out."""

IMAGE_BRANCH, CLASS_BRANCH = "net_feature_maps.", "net_label_features.net_class_features."
CLASSIFIER_PARTS = ("layer1.", "layer2.", "layer3.", "layer4.", "fc.")
"""Parts of an ImageNet classifier that a backbone may lack because it is cut before them."""


def load_initial_weights(model: Os2d, init: CfgNode) -> dict[str, Any] | None:
    """Load the files that ``init.model`` and then ``init.transform`` name, if any; return the optimiser's state."""
    optimizer_state = load_init_model(model, init.model) if init.model else None
    if init.transform:
        load_init_transform(model, init.transform)
    return optimizer_state


def load_init_model(model: Os2d, path: str | Path) -> dict[str, Any] | None:
    """Load a checkpoint of the whole network, or a backbone for both branches.

    A backbone may be a torchvision ResNet (its last stages and classifier are left out) or that of weakalign.

    Returns:
        The state of the optimiser if the file has one.

    Raises:
        CheckpointError: if the file cannot be read or does not fit; the model is unchanged then.
    """
    content = load_weights(path)
    weights = content.get("net", content.get("state_dict", content))
    if not isinstance(weights, Mapping) or not all(isinstance(t, Tensor) for t in weights.values()):
        raise CheckpointError(f"{path}: expected weights by name, at the top or under 'net' or 'state_dict'")
    if any(key.startswith(IMAGE_BRANCH) for key in weights):
        fitting = _fitting(model, weights, path, ignored=())
        if model.merged:
            _check_branches_are_equal(fitting, path)
        model.load_state_dict(fitting)
        return content.get("optimizer")
    if weakalign.is_weakalign(weights):
        weights = weakalign.backbone_weights(weights)
    backbone = model.net_feature_maps
    fitting = _fitting(backbone, weights, path, ignored=_parts_cut_off(backbone))
    backbone.load_state_dict(fitting)
    if not model.merged:
        model.net_label_features.net_class_features.load_state_dict(fitting)
    return None


def load_init_transform(model: Os2d, path: str | Path) -> None:
    """Load the affine regressor of a weakalign file into the TransformNet.

    Raises:
        CheckpointError: if the file cannot be read or does not fit; the model is unchanged then.
    """
    content = load_weights(path)
    weights = content.get("state_dict")
    if not isinstance(weights, Mapping) or not weakalign.is_weakalign(weights):
        raise CheckpointError(f"{path}: expected a weakalign checkpoint, with FeatureExtraction.* under 'state_dict'")
    transform_net = model.os2d_head_creator.aligner.parameter_regressor
    regressor = weakalign.regressor_weights(weights, transform_net.linear.kernel_size[0])
    transform_net.load_state_dict(_fitting(transform_net, regressor, path, ignored=()))


def load_weights(path: str | Path) -> dict[str, Any]:
    """Return the content of a weights file, with every tensor on the CPU; no code in the file is run.

    Raises:
        CheckpointError: if there is no such file, or it is truncated or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such weights file")
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise CheckpointError(
            f"{path}: not a readable weights file, or a truncated one ({type(error).__name__}); expected a file of "
            "tensors and plain values as torch.save writes it: get or convert it again"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: expected a dictionary of weights, got {type(content).__name__}")
    return dict(content)


def save_checkpoint(path: str | Path, net: nn.Module, optimizer_state: Mapping[str, Any] | None, **extra: Any) -> None:
    """Write ``{"net": weights on the CPU, "optimizer": ..., **extra}``; the file appears complete or not at all.

    Raises:
        CheckpointError: if the file cannot be written, for example because the disk is full.
    """
    path = Path(path)
    content = {"net": _on_cpu(net.state_dict()), "optimizer": optimizer_state, **extra}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as either
        raise CheckpointError(f"{path}: cannot write the checkpoint ({error}); is the disk full?") from error
    finally:
        temporary.unlink(missing_ok=True)


def _on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors on the CPU; those that shared memory still do, or a merged model would be stored twice."""
    moved: dict[int, Tensor] = {}
    return {key: moved.setdefault(tensor.data_ptr(), tensor.detach().cpu()) for key, tensor in state.items()}


def _fitting(
    module: nn.Module, weights: Mapping[str, Tensor], path: str | Path, ignored: tuple[str, ...]
) -> dict[str, Tensor]:
    """Return a complete state of the module made of the weights.

    Keys that start with one of ``ignored`` may be left over. Old files do not count batches (``num_batches_tracked``);
    the module's own count stays then.
    """
    state = module.state_dict()
    missing = [k for k in state if k not in weights and not k.endswith(".num_batches_tracked")]
    unexpected = [k for k in weights if k not in state and not k.startswith(ignored)]
    mismatched = [
        f"{k} {tuple(weights[k].shape)} instead of {tuple(state[k].shape)}"
        for k in state
        if k in weights and weights[k].shape != state[k].shape
    ]
    problems = {"missing": missing, "unexpected": unexpected, "of another shape": mismatched}
    if any(problems.values()):
        listed = "; ".join(_listed(problem, keys) for problem, keys in problems.items() if keys)
        raise CheckpointError(
            f"{path}: does not fit the network; check the keys of `model`, or take another file. {listed}"
        )
    return {key: weights.get(key, tensor) for key, tensor in state.items()}


def _listed(problem: str, keys: list[str]) -> str:
    more = f" and {len(keys) - LISTED_KEYS} more" if len(keys) > LISTED_KEYS else ""
    return f"{len(keys)} {problem}: {', '.join(keys[:LISTED_KEYS])}{more}"


def _parts_cut_off(backbone: Backbone) -> tuple[str, ...]:
    kept = {name for name, _ in backbone.named_children()}
    return tuple(part for part in CLASSIFIER_PARTS if part.removesuffix(".") not in kept)


def _check_branches_are_equal(weights: Mapping[str, Tensor], path: str | Path) -> None:
    for key, tensor in weights.items():
        if key.startswith(IMAGE_BRANCH):
            twin = weights[CLASS_BRANCH + key.removeprefix(IMAGE_BRANCH)]
            if twin.data_ptr() != tensor.data_ptr() and not torch.equal(twin, tensor):
                raise CheckpointError(
                    f"{path}: its two branches have different weights ({key}); "
                    "set model.merge_branch_parameters to False"
                )
