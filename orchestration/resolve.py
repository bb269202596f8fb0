"""Overrides merged into a task's defaults with the types of the defaults.

Equal meanings become equal values, so that they have equal signatures: an int for a float becomes a float, a tuple a
list, a path a string. Text that looks like a number stays text. Nothing else is converted.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from math import isnan
from numbers import Integral, Real
from typing import Any

from orchestration.errors import DescriptionError, OverrideError
from orchestration.signature import canonical_json, flatten, is_neutral, nest, with_values
from orchestration.task import ConfigTree, Task, load_task, put

Flat = dict[str, Any]
Members = dict[str, str]
"""Dotted key -> its member of the canonical JSON of a configuration."""


class Defaults:
    """The configuration of one task: its defaults, and what may replace them."""

    def __init__(self, task_name: str) -> None:
        self.task_name = task_name
        self.task: Task = load_task(task_name)
        self.seed_key = self.task.seed_key
        self.neutral_keys = tuple(self.task.neutral_keys)
        self._tree = self.task.default_config()
        defaults = flatten(self._tree)
        self.values: Flat = {key: _canonical(value) for key, value in defaults.items()}
        if self.seed_key and self.seed_key not in self.values:
            raise DescriptionError(f"task {task_name!r}: its seed_key {self.seed_key!r} is not in its configuration")
        neutral = is_neutral(self.neutral_keys, self.seed_key)
        self._identity_members = {
            key: _member(key, self.values[key]) for key in sorted(self.values) if not neutral(key)
        }
        self._nested = nest(self.values)
        self._places = dict(_places(self._tree))
        self._nodes = {key.rpartition(".")[0] for key in self.values if "." in key}

    def typed(self, overrides: Mapping[str, Any], place: str) -> Flat:
        """Return the overrides with the types of the defaults.

        Args:
            overrides: dotted keys, or nested mappings.
            place: where they were written, for messages.

        Raises:
            OverrideError: an unknown key, or a value of the wrong type.
        """
        result: Flat = {}
        for key, value in overrides.items():
            if not isinstance(key, str):
                raise OverrideError(f"{place}: expected a dotted key, got {key!r}")
            if isinstance(value, Mapping) and key in self._nodes:
                inner = self.typed(flatten(value, f"{key}."), place)
                self._require_once(inner, result, place)
                result |= inner
            elif key in result:
                self._require_once({key: value}, result, place)
            elif key == self.seed_key:
                raise OverrideError(f"{place}: {key}: the seed of a trial comes from `seeds`; write seeds=[{value!r}]")
            elif key in self.values:
                result[key] = _typed(self.values[key], value, f"{place}: {key}")
            else:
                raise OverrideError(f"{place}: {self._unknown(key)}")
        return result

    def check(self, overrides: Flat, place: Callable[[], str]) -> dict[str, str]:
        """Let the task judge the defaults with typed overrides; return its fingerprints of the files they name."""
        try:
            self._put(overrides)
            self.task.validate(self._tree)
            return dict(self.task.fingerprints(self._tree))
        except Exception as error:
            if isinstance(getattr(error, "exit_code", None), int):
                raise DescriptionError(f"{place()}: {error}") from error
            raise
        finally:
            self._put({key: self.values[key] for key in overrides})

    def identity(self, overrides: Flat) -> Members:
        """Return the canonical JSON of every value that can change a result, by key."""
        return changed_members(self._identity_members, overrides)

    def config(self, overrides: Flat, seed: int) -> dict[str, Any]:
        """Return the nested configuration of a trial; the nodes without an override are shared, so only read it."""
        return with_values(self._nested, {**overrides, self.seed_key: seed} if self.seed_key else overrides)

    def _require_once(self, added: Flat, known: Flat, place: str) -> None:
        twice = sorted(added.keys() & known.keys())
        if twice:
            raise OverrideError(f"{place}: {twice[0]}: it is set twice here, by itself and in a group; set it once")

    def _put(self, values: Flat) -> None:
        for dotted, value in values.items():
            put(*self._places[dotted], value)

    def _unknown(self, key: str) -> str:
        if key in self._nodes:
            return f"{key}: this is a group of keys; set the keys in it, for example {self._first_below(key)}"
        leaf = key.rpartition(".")[2]
        near = difflib.get_close_matches(key, self.values, n=1, cutoff=0.75)
        near = near or [known for known in self.values if known.rpartition(".")[2] == leaf][:3]
        near = near or difflib.get_close_matches(key, self.values, n=1, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        return f"{key}: the task {self.task_name} has no such key{hint}"

    def _first_below(self, node: str) -> str:
        return next(key for key in self.values if key.startswith(f"{node}."))


@lru_cache
def defaults_of(task_name: str) -> Defaults:
    """Return the defaults of a task, read once per process."""
    return Defaults(task_name)


def changed_members(members: Members, overrides: Flat) -> Members:
    """Return the identity with other values; keys that cannot change a result are passed over."""
    return {**members, **{key: _member(key, value) for key, value in overrides.items() if key in members}}


def _places(tree: ConfigTree, prefix: str = "") -> Iterator[tuple[str, tuple[ConfigTree, str]]]:
    """Yield every dotted key with the node that holds it and its name there."""
    for name in tree:
        if isinstance(tree[name], Mapping):
            yield from _places(tree[name], f"{prefix}{name}.")
        else:
            yield prefix + name, (tree, name)


def _member(key: str, value: Any) -> str:
    return f"{canonical_json(key)}:{canonical_json(value)}"


def _typed(default: Any, value: Any, place: str) -> Any:
    if default is None:
        if isinstance(value, list | tuple):
            return _canonical([_typed(None, item, f"{place}[{i}]") for i, item in enumerate(value)])
        if isinstance(value, float):
            return _number(value, place)
        if isinstance(value, str):
            return _text(value, place)
        if value is None or isinstance(value, bool | int):
            return value
        raise OverrideError(f"{place}: expected a plain value or a list, got {type(value).__name__} {value!r}")
    expected = type(default).__name__
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
    elif isinstance(value, bool):
        pass
    elif isinstance(default, str):
        if isinstance(value, str | os.PathLike):
            return _text(str(os.fspath(value)), place)
    elif isinstance(default, int):
        if isinstance(value, Integral):
            return int(value)
    elif isinstance(default, float):
        if isinstance(value, Real):
            return _number(float(value), place)
    elif isinstance(default, list):
        if isinstance(value, list | tuple):
            return _typed_list(default, list(value), place)
    else:
        raise OverrideError(f"{place}: the default is a {expected}; only its own type of value can be planned")
    raise OverrideError(f"{place}: expected {expected} (default {default!r}), got {type(value).__name__} {value!r}")


def _number(value: float, place: str) -> float:
    if isnan(value):
        raise OverrideError(f"{place}: expected a number, got nan, which equals nothing, not even itself")
    return value


def _text(value: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise OverrideError(f"{place}: expected text, got {value!r}, which is no UTF-8; rename the file") from error
    return value


def _typed_list(default: list[Any], values: list[Any], place: str) -> list[Any]:
    """Convert the items to the type of the default's items; in a list of whole numbers, others may stand as well."""
    if not default:
        plain: list[Any] = _typed(None, values, place)
        return plain
    model = default[0]
    if type(model) is int:
        whole = all(not isinstance(value, float) or value.is_integer() for value in values)
        model = 1 if whole else 1.0
        values = [int(value) if whole and isinstance(value, float) else value for value in values]
    return [_typed(model, value, f"{place}[{i}]") for i, value in enumerate(values)]


def _canonical(value: Any) -> Any:
    """Return plain values: tuples as lists; a list of numbers with a float in it has floats only."""
    if isinstance(value, list | tuple):
        items = [_canonical(item) for item in value]
        plain_numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in items)
        if plain_numbers and any(isinstance(item, float) for item in items):
            return [float(item) for item in items]
        return items
    return value
