"""The configuration of a command line: defaults, then a YAML file, then ``KEY VALUE`` pairs; mistakes named one by one.

Values are parsed as yacs does it: as Python literals where possible, and of the type of the default.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import reduce
from pathlib import Path
from typing import Any

import yaml
from yacs.config import CfgNode

from os2d.config import default_config
from os2d.errors import ConfigError


def read_config(
    file: Path | None, overrides: Sequence[str], defaults: Callable[[], CfgNode] = default_config
) -> CfgNode:
    """Return the defaults with the file and then the overrides merged, frozen.

    Raises:
        ConfigError: the file cannot be read, or a key or a value is wrong.
    """
    config = defaults()
    if file is not None:
        for key, value in values_of_file(file):
            set_value(config, key, value, f" ({file})")
    set_overrides(config, overrides)
    config.freeze()
    return config


def set_overrides(config: CfgNode, overrides: Sequence[str]) -> None:
    """Set ``KEY VALUE`` pairs."""
    if len(overrides) % 2:
        raise ConfigError(f"overrides: expected KEY VALUE pairs, got {len(overrides)} words: {' '.join(overrides)}")
    for key, value in zip(overrides[::2], overrides[1::2], strict=True):
        set_value(config, key, value, "")


def values_of_file(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of everything in a YAML file."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise ConfigError(f"{file}: cannot be read as a configuration: {e}") from e
    if content is None:
        return
    if not isinstance(content, Mapping):
        raise ConfigError(f"{file}: expected a tree of keys and values, got {type(content).__name__}")
    yield from leaves(content)


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of everything in a tree."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def set_value(config: CfgNode, key: str, value: Any, where: str) -> None:
    """Set one value; ``where`` ends the message about a wrong one."""
    known = dict(leaves(config))
    if key not in known:
        raise ConfigError(f"{key}: no such key{where}{_advice(key, known)}")
    if isinstance(known[key], float) and _is_int(value):
        raise ConfigError(f"{key}: cannot be set to {value!r}{where}: write {float(value)}, it is not a whole number")
    try:
        reduce(lambda node, part: node[part], key.split(".")[:-1], config)  # a key that is a branch fails above
        config.merge_from_list([key, value])
    except Exception as e:  # yacs raises whatever it meets
        expected = type(known[key]).__name__
        raise ConfigError(
            f"{key}: cannot be set to {value!r}{where}: expected a value of type {expected}, such as the default "
            f"{known[key]!r}"
        ) from e


def _advice(key: str, known: Mapping[str, Any]) -> str:
    """Return which keys may have been meant."""
    below = [name for name in known if name.startswith(key + ".")]
    if below:
        return f"; it is a branch, its keys are {', '.join(below)}"
    last = key.rpartition(".")[2]
    same_name = [name for name in known if name.rpartition(".")[2] == last]
    close = same_name or get_close_matches(key, known, n=1, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else "; python main.py --help tells where all keys are"


def _is_int(value: Any) -> bool:
    if isinstance(value, str):
        try:
            value = literal_eval(value)
        except (ValueError, SyntaxError):
            return False
    return isinstance(value, int) and not isinstance(value, bool)
