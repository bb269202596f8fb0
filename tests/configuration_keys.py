"""Every key of every configuration tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from baselines.coae import config as coae
from baselines.detector_retrieval.detector import config as detector
from baselines.detector_retrieval.joint import config as joint
from baselines.detector_retrieval.retrieval import config as retrieval
from baselines.onenet import config as onenet
from os2d import config as os2d

TREES = (
    os2d.default_config,
    coae.default_config,
    onenet.default_config,
    detector.default_config,
    joint.default_config,
    retrieval.preparation_config,
    retrieval.training_config,
    retrieval.whitening_config,
)


def known_keys() -> set[str]:
    """Return the dotted keys, groups included."""
    return {key for tree in TREES for key in _dotted(tree())}


def _dotted(tree: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for name, value in tree.items():
        yield before + name
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{before}{name}.")
