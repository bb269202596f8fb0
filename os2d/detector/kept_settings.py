"""The configuration that a training keeps near its checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from os2d.config_reading import leaves, set_value, values_of_file
from os2d.errors import ConfigError

BRANCHES = ("model", "eval")
"""What of a training's configuration matters for detecting."""

TRIAL = "trial.json"
"""The description of a trial, in its folder; the checkpoints lie one folder deeper."""

WRITTEN = ("config.yml", "config.yaml")
"""What the training commands write into their output folder."""


def settings_file(checkpoint: Path) -> Path | None:
    """Return the file with the configuration of the training that wrote a checkpoint, if it is there."""
    folder = checkpoint.absolute().parent
    places = [folder.parent / TRIAL, folder / TRIAL, *(folder / name for name in WRITTEN)]
    return next((place for place in places if place.is_file()), None)


def kept_values(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of everything in a file of :func:`settings_file`.

    Raises:
        ConfigError: it cannot be read.
    """
    if file.name != TRIAL:
        yield from values_of_file(file)
        return
    try:
        config = json.loads(file.read_text(encoding="utf-8"), object_hook=_number_or_tree)["config"]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ConfigError(f"{file}: cannot be read as the description of a trial: {e}") from e
    yield from leaves(config)


def _number_or_tree(tree: dict[str, Any]) -> Any:
    """Return an infinite number or NaN, which JSON has no way to write, or what else an object is."""
    return float(tree["$float"]) if tree.keys() == {"$float"} else tree


def merge_settings(
    config: CfgNode, checkpoint: Path, told_by_weights: Callable[[], Mapping[str, Any]], overrides: Mapping[str, Any]
) -> None:
    """Set what matters for detecting as the training of a checkpoint kept it, else as its weights tell; then overrides.

    Raises:
        ConfigError: the file of the training cannot be read, or a key or a value is wrong.
    """
    kept = settings_file(checkpoint)
    if kept is None:
        merge_values(config, told_by_weights())
    else:
        for key, value in kept_values(kept):
            if key.partition(".")[0] in BRANCHES:
                set_value(config, key, value, f" ({kept})")
    merge_values(config, overrides)


def merge_values(config: CfgNode, values: Mapping[str, Any]) -> None:
    """Set configuration key -> value."""
    for key, value in values.items():
        set_value(config, key, value, "")
