"""The kinds of networks there are: every installed package may bring some, by an entry point."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from os2d.detector.detector import AUTO, Detector
from os2d.errors import CheckpointError, ConfigError, DeviceError
from os2d.modeling.conversion import recognition
from os2d.modeling.conversion.recognition import recognise
from os2d.modeling.weights_file import load_weights

ENTRY_POINTS = "oneshot.detectors"
"""Group of the entry points; each names a class with what :class:`Network` says."""

DEVICES = (AUTO, "cpu", "cuda")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A weights file that was read.

    Args:
        path: of the file.
        weights: name -> tensor, on the CPU.
    """

    path: Path
    weights: Mapping[str, Tensor]


class Network(Protocol):
    """A kind of network."""

    @staticmethod
    def recognises(keys: Collection[str]) -> bool:
        """Tell whether weights of these names are of such a network."""

    @classmethod
    def load(cls, checkpoint: Checkpoint, overrides: Mapping[str, Any], device: torch.device) -> Detector:
        """Return the network of a checkpoint; see :meth:`Detector.from_checkpoint`."""


def load_detector(path: Path, overrides: Mapping[str, Any], device: str) -> Detector:
    """Return the network of a weights file; see :meth:`Detector.from_checkpoint`."""
    chosen = choose_device(device)
    found = recognise(load_weights(path))
    if found is None:
        raise CheckpointError(f"{path}: expected weights by name, at the top or under {', '.join(recognition.PLACES)}")
    kinds = entry_points(group=ENTRY_POINTS)
    for kind in kinds:
        network: type[Network] = kind.load()
        if network.recognises(found.weights.keys()):
            return network.load(Checkpoint(path, found.weights), overrides, chosen)
    known = ", ".join(sorted(kind.name for kind in kinds)) or "none: install this package again (pip install -e .)"
    raise CheckpointError(
        f"{path}: holds {found.layout.holds}, with which nothing can be detected; expected a trained detector "
        f"(known here: {known}). oneshot models inspect {path} tells more"
    )


def choose_device(device: str) -> torch.device:
    """Return the device of a name.

    Raises:
        ConfigError: there is no device of this name.
        DeviceError: this machine has none.
    """
    if device not in DEVICES:
        raise ConfigError(f"device: expected one of {', '.join(DEVICES)}, got {device!r}")
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise DeviceError(f"device cuda: torch {torch.__version__} finds no usable GPU on this machine; choose cpu")
    return torch.device("cuda" if has_gpu and device != "cpu" else "cpu")
