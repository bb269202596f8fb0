"""Checking the values of a configuration tree against tables of rules, before anything runs.

Light on purpose (no torch): planners check every trial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from math import isfinite
from typing import Any, TypeGuard

from yacs.config import CfgNode

from os2d.choices import choose
from os2d.config_check import Rule
from os2d.data.catalog import find_dataset, is_known, resolved_root
from os2d.errors import ConfigError

__all__ = [
    "Rule",
    "check_dataset_name",
    "check_tree",
    "is_not_negative",
    "is_number",
    "is_positive",
    "is_share",
    "is_whole",
    "some",
    "value_at",
]


def check_tree(config: CfgNode, choices: Mapping[str, Sequence[str]], rules: Sequence[Rule]) -> None:
    """Check every value that a table names.

    Raises:
        ConfigError: a value cannot be used; the message names the key, the value and what is allowed.
    """
    for key, names in choices.items():
        choose(key, str(value_at(config, key)), dict.fromkeys(names))
    for rule in rules:
        for key in rule.keys:
            value = value_at(config, key)
            if value is None or not rule.holds(value):  # yacs takes None for any key
                raise ConfigError(f"{key}: expected {rule.expected}, got {value!r}")


def check_dataset_name(key: str, name: object, root: str) -> None:
    """Check that a detection data set exists; its files are looked at elsewhere, they may lie on another machine.

    Raises:
        ConfigError: the name is none.
        DataError: there is no such data set.
    """
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{key}: expected the name of a data set, got {name!r}")
    if not is_known(name):
        find_dataset(name, resolved_root(root))


def value_at(config: CfgNode, key: str) -> Any:
    """Return the value of a dotted key."""
    return reduce(lambda node, part: node[part], key.split("."), config)


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def is_positive(value: object) -> bool:
    """Tell whether a value is a finite number above 0."""
    return is_number(value) and value > 0


def is_not_negative(value: object) -> bool:
    """Tell whether a value is a finite number, 0 or above."""
    return is_number(value) and value >= 0


def is_share(value: object) -> bool:
    """Tell whether a value is a number from 0 to 1."""
    return is_number(value) and 0 <= value <= 1


def is_whole(at_least: int) -> Callable[[object], bool]:
    """Return what tells whether a value is a whole number from a limit on."""
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= at_least


def some(holds: Callable[[Any], bool]) -> Callable[[Sequence[Any]], bool]:
    """Return what tells whether there are values and every one of them is as wanted."""
    return lambda values: len(values) > 0 and all(map(holds, values))
