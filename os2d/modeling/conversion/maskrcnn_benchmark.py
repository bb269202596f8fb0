"""Detectors of maskrcnn-benchmark: the first stages of their ResNet.

The weights lie under ``model``. The last stage, the feature pyramid and the heads have no place here and are dropped.
The first filter expects images in the units of the detector's configuration and is fitted to ours.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from os2d.errors import CheckpointError
from os2d.modeling.conversion.first_convolution import from_scaled_bytes
from os2d.modeling.conversion.resnet import STEM, Converted, renamed_start, take_resnet

PREFIXES = {
    "conv1.": "module.backbone.body.stem.conv1.",
    "bn1.": "module.backbone.body.stem.bn1.",
    "layer1.": "module.backbone.body.layer1.",
    "layer2.": "module.backbone.body.layer2.",
    "layer3.": "module.backbone.body.layer3.",
}
"""Start of a usual name -> start of the key in the file; the rest is the same."""

FIRST_FILTER = "conv1.weight"


@dataclass(frozen=True)
class ImageUnits:
    """How the detector's images are normalised; the defaults are those of maskrcnn-benchmark."""

    pixel_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    to_bgr255: bool = True


def recognises(weights: Mapping[str, Tensor]) -> bool:
    """Tell whether these are such weights."""
    return "module.backbone.body.stem.conv1.weight" in weights


def convert(weights: Mapping[str, Tensor], units: ImageUnits) -> Converted:
    """Return the ResNet up to its third stage.

    Raises:
        CheckpointError: keys are missing, unexpected or of another shape.
    """
    known = tuple(PREFIXES.values())
    parts = (*STEM, "layer1.", "layer2.", "layer3.")
    resnet = take_resnet(weights, parts, renamed_start(PREFIXES), lambda key: not key.startswith(known))
    first = from_scaled_bytes(resnet.weights[FIRST_FILTER], units.pixel_std, units.to_bgr255)
    return Converted({**resnet.weights, FIRST_FILTER: first}, resnet.architecture, resnet.dropped)


def read_units(config: Path) -> ImageUnits:
    """Return the units that a detector's YAML configuration sets, the defaults of maskrcnn-benchmark where it does not.

    Raises:
        CheckpointError: the file cannot be read, or a value cannot be used.
    """
    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        reason = " ".join(str(e).split())
        raise CheckpointError(f"{config}: not a readable configuration of maskrcnn-benchmark ({reason})") from e
    section = content.get("INPUT", {}) if isinstance(content, Mapping) else None
    if not isinstance(section, Mapping):
        raise CheckpointError(f"{config}: expected a configuration of maskrcnn-benchmark: a table of keys")
    default = ImageUnits()
    std = _literal(section.get("PIXEL_STD", default.pixel_std))
    is_bgr = _literal(section.get("TO_BGR255", default.to_bgr255))
    if not isinstance(std, list | tuple) or len(std) != 3 or not all(isinstance(s, int | float) and s > 0 for s in std):
        raise CheckpointError(f"{config}: INPUT.PIXEL_STD: expected three positive numbers, got {std!r}")
    if not isinstance(is_bgr, bool):
        raise CheckpointError(f"{config}: INPUT.TO_BGR255: expected True or False, got {is_bgr!r}")
    return ImageUnits((float(std[0]), float(std[1]), float(std[2])), is_bgr)


def _literal(value: Any) -> Any:
    """Return what a string spells, as the framework's own configuration reads tuples."""
    try:
        return ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError):
        return value
