"""Files of retrieval networks: those of the retrieval toolbox (cirtorch), and ResNets to start from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from baselines.detector_retrieval.retrieval.network import NetworkDescription, RetrievalNetwork, build_network
from baselines.detector_retrieval.retrieval.pooling import POOLINGS
from os2d.choices import choose
from os2d.data.normalisation import IMAGENET_MEAN, IMAGENET_STD
from os2d.errors import CheckpointError, ConfigError
from os2d.modeling.backbone import ARCHITECTURES
from os2d.modeling.conversion import caffe2_cirtorch, recognition, torchvision_to_cirtorch
from os2d.modeling.conversion.recognition import Recognised, recognise
from os2d.modeling.key_comparison import compare_keys, shapes_of
from os2d.modeling.weights_file import load_weights

logger = logging.getLogger(__name__)

HEADS = ("pool.p", "whiten.weight", "whiten.bias")
"""Weights that a file to start from may lack: a fresh network's own values stay then."""

NOT_SUPPORTED = ("local_whitening", "regional")
"""Entries of ``meta`` for parts that no experiment uses and that do not exist here."""


def load_network(path: str | Path) -> RetrievalNetwork:
    """Return the network of a checkpoint, built as its ``meta`` says.

    Raises:
        CheckpointError: the file cannot be read, has no ``meta`` or does not hold what that says.
    """
    content = load_weights(path)
    network = build_network(_description(content, path))
    _fit(network, _weights_of(content, path), path)
    return network


def load_init_model(network: RetrievalNetwork, path: str | Path) -> None:
    """Load a retrieval network, or a ResNet of Caffe2 or torchvision, to start training from.

    Pooling and whitening that the file lacks keep their values.

    Raises:
        CheckpointError: the file cannot be read or does not fit; the network is unchanged then.
    """
    weights = dict(_weights_of(load_weights(path), path))
    state = network.state_dict()
    kept = {key: state[key] for key in HEADS if key in state and key not in weights}
    if kept:
        logger.info("%s: has no %s; they start as in a fresh network", path, ", ".join(kept))
    _fit(network, {**weights, **kept}, path)


def load_whitening_layer(network: RetrievalNetwork, path: str | Path) -> None:
    """Load a published whitening layer: ``weight`` and ``bias`` of the fully connected layer.

    Raises:
        CheckpointError: the file cannot be read or does not fit.
    """
    assert network.whiten is not None
    weights = load_weights(path)
    differences = compare_keys(weights, shapes_of(network.whiten.state_dict()))
    if differences:
        raise CheckpointError(f"{path}: is not the whitening layer of this network. {differences}")
    network.whiten.load_state_dict(weights)


def checkpoint(network: RetrievalNetwork, **extra: Any) -> dict[str, Any]:
    """Return what a checkpoint of the retrieval toolbox holds: ``meta``, ``state_dict`` and the extra entries."""
    return {**extra, "meta": network.description.meta(), "state_dict": network.state_dict()}


def _description(content: Mapping[str, Any], path: str | Path) -> NetworkDescription:
    meta = content.get("meta")
    if not isinstance(meta, Mapping) or not {"architecture", "pooling"} <= meta.keys():
        raise CheckpointError(
            f"{path}: expected 'meta' with the architecture and the pooling of a retrieval network, found "
            f"{', '.join(map(str, content))}; take a checkpoint that the training of the retrieval network wrote"
        )
    unknown = [name for name in NOT_SUPPORTED if meta.get(name)]
    if unknown:
        raise CheckpointError(f"{path}: its network has {' and '.join(unknown)}, which this program does not build")
    mean = tuple(map(float, meta.get("mean", IMAGENET_MEAN)))
    std = tuple(map(float, meta.get("std", IMAGENET_STD)))
    whitening = bool(meta.get("whitening", False))
    architecture, pooling = str(meta["architecture"]), str(meta["pooling"])
    try:
        choose("architecture", architecture, dict.fromkeys(ARCHITECTURES))
        choose("pooling", pooling, POOLINGS)
    except ConfigError as e:
        raise CheckpointError(f"{path}: meta: {e}") from e
    return NetworkDescription(architecture, pooling, whitening, mean, std)


def _weights_of(content: Mapping[str, Any], path: str | Path) -> Mapping[str, Tensor]:
    """Return the weights of a file under the names of the network.

    Raises:
        CheckpointError: the file holds something else.
    """
    found = recognise(content)
    if found is None:
        raise CheckpointError(f"{path}: expected weights by name, at the top or under {', '.join(recognition.PLACES)}")
    if found.layout is recognition.CIRTORCH:
        return found.weights
    try:
        return torchvision_to_cirtorch.convert(_resnet(found)).weights
    except CheckpointError as e:
        raise CheckpointError(f"{path}: {e}") from e


def _resnet(found: Recognised) -> Mapping[str, Tensor]:
    if found.layout is recognition.CAFFE2_CIRTORCH:
        return caffe2_cirtorch.convert(found.weights).weights
    if found.layout is recognition.TORCHVISION:
        return found.weights
    raise CheckpointError(
        f"holds {found.layout.holds}; expected a retrieval network of cirtorch, or a ResNet of Caffe2 (as cirtorch "
        "publishes it) or torchvision"
    )


def _fit(network: RetrievalNetwork, weights: Mapping[str, Tensor], path: str | Path) -> None:
    state = network.state_dict()
    differences = compare_keys(weights, shapes_of(state))
    if differences:
        raise CheckpointError(
            f"{path}: does not fit the network {network.description.architecture}; check network.arch and "
            f"network.whitening, or take another file. {differences}"
        )
    network.load_state_dict({key: weights.get(key, tensor) for key, tensor in state.items()})
