"""Fitting weights files to the network: published checkpoints, converted backbones, and torchvision's own files.

A file either fits and is loaded completely, or nothing is changed and the error names what does not fit.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from baselines.onenet.modeling.fpn import FeaturePyramid
from baselines.onenet.modeling.model import OneNet
from baselines.onenet.weights_path import find_weights
from os2d.errors import CheckpointError
from os2d.modeling.conversion import recognition
from os2d.modeling.conversion.recognition import recognise
from os2d.modeling.conversion.resnet import without_wrapper
from os2d.modeling.conversion.torchvision_to_detectron2 import name_in_detectron2
from os2d.modeling.key_comparison import BATCH_COUNTER, KeyDifferences, compare_keys, listed, shapes_of
from os2d.modeling.weights_file import load_weights

logger = logging.getLogger(__name__)

HEAD = "head."
"""Start of names that only a whole detector has."""


def load_initial_weights(model: OneNet, config: CfgNode) -> None:
    """Load what ``MODEL.WEIGHTS`` names, if anything; names that start as ``MODEL.WEIGHTS_SKIP`` says stay as they are.

    Raises:
        CheckpointError: the file is missing, unreadable or does not fit.
    """
    if config.MODEL.WEIGHTS:
        load_init_model(model, find_weights(config.MODEL.WEIGHTS), config.MODEL.WEIGHTS_SKIP)


def load_init_model(model: OneNet, path: Path, skip: Sequence[str] = ()) -> None:
    """Load a checkpoint of the whole detector, or its backbone from a file of an image classifier.

    Args:
        model: the detector.
        path: of the file.
        skip: starts of the names that keep their values, whatever the file holds.

    Raises:
        CheckpointError: the file is missing, unreadable or does not fit; the detector is unchanged then.
    """
    weights = read_detector_weights(path)
    state = model.state_dict()
    kept = {key: tensor for key, tensor in state.items() if key.startswith(tuple(skip))}
    if any(key.startswith(HEAD) for key in weights):
        fitting = {key: tensor for key, tensor in weights.items() if not key.startswith(tuple(skip))} | kept
        differences = compare_keys(fitting, shapes_of(state))
        if differences:
            raise CheckpointError(_does_not_fit(path, differences))
    else:
        fitting = _of_backbone(model, weights, path) | kept
    model.load_state_dict({key: fitting.get(key, tensor) for key, tensor in state.items()})
    if kept:
        logger.warning("%s: MODEL.WEIGHTS_SKIP left out %s", path, listed(kept))


def read_detector_weights(path: Path) -> Mapping[str, Tensor]:
    """Return the weights of a file, those of torchvision's ResNets under the names of detectron2.

    Raises:
        CheckpointError: the file is missing, unreadable or holds no weights.
    """
    found = recognise(load_weights(path))
    if found is None:
        raise CheckpointError(f"{path}: expected weights by name, at the top or under {', '.join(recognition.PLACES)}")
    weights = without_wrapper(found.weights)
    if found.layout is recognition.TORCHVISION:
        return {name_in_detectron2(key): tensor for key, tensor in weights.items()}
    return weights


def _of_backbone(model: OneNet, weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the names of the model -> weights of an image classifier."""
    sources = match_by_suffix(model.state_dict(), weights)
    taken_twice = [key for key, times in Counter(sources.values()).items() if times > 1]
    if taken_twice:
        raise CheckpointError(f"{path}: fits the network in more than one way: {listed(taken_twice)}")
    matched = {key: weights[source] for key, source in sources.items()}
    expected = _classifier_shapes(model) | {key: model.state_dict()[key].shape for key in matched}
    differences = compare_keys(matched, expected)
    if differences:
        raise CheckpointError(_does_not_fit(path, differences))
    unused = sorted(set(weights) - set(sources.values()))
    fresh = [key for key in model.state_dict() if key not in matched and not key.endswith(BATCH_COUNTER)]
    logger.info("%s: %d weights loaded, %d of the detector are fresh", path, len(matched), len(fresh))
    if unused:
        logger.info("%s: not used: %s", path, listed(unused))
    return matched


def match_by_suffix(model_keys: Iterable[str], file_keys: Iterable[str]) -> dict[str, str]:
    """Return name in the model -> name in the file: the same, or the longest one that it ends with behind a dot."""
    known = set(file_keys)
    matched = {}
    for key in model_keys:
        parts = key.split(".")
        suffixes = (".".join(parts[start:]) for start in range(len(parts)))
        source = next((suffix for suffix in suffixes if suffix in known), None)
        if source is not None:
            matched[key] = source
    return matched


def _classifier_shapes(model: OneNet) -> dict[str, torch.Size]:
    """Return the names and shapes of the part of the network that an image classifier has too."""
    classifier: nn.Module = model.backbone
    start = "backbone."
    if isinstance(classifier, FeaturePyramid):
        classifier, start = classifier.bottom_up, "backbone.bottom_up."
    return shapes_of(classifier.state_dict(prefix=start))


def _does_not_fit(path: Path, differences: KeyDifferences) -> str:
    return (
        f"{path}: does not fit the network; check MODEL.RESNETS, MODEL.OneNet and MODEL.MOBILENET, take another file, "
        f"or name in MODEL.WEIGHTS_SKIP the starts of the names that are to stay random. {differences}"
    )
