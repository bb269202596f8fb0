"""The identity of a trial: a hash of everything that can change its result."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashlib import _Hash

SHOWN_DIGITS = 12
"""How many of a signature's 64 digits people see."""


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_json(value: Any) -> str:
    """Return one text per value: keys sorted, tuples as lists, floats by ``repr``.

    >>> canonical_json({"lr": 1e-3, "betas": (0.9, 0.999)})
    '{"betas":[0.9,0.999],"lr":0.001}'
    """
    if type(value) is int or (type(value) is float and isfinite(value)):
        return repr(value)  # the same text, faster; what differs between trials is mostly numbers
    return _ENCODER.encode(value)


def signature_of(parts: Mapping[str, str]) -> str:
    """Return the hash of an object given as name -> canonical JSON: 64 hexadecimal digits."""
    return sha256(f"{{{_joined(parts)}}}".encode()).hexdigest()


class PartialSignature:
    """The hash of an object of which some parts are still to come; the large ones are read once for all of them."""

    def __init__(self, parts: Mapping[str, str]) -> None:
        self._parts = dict(parts)
        self._begun: dict[str, _Hash] = {}  # name of the first part to come -> hash of everything before it

    def with_parts(self, others: Mapping[str, str]) -> str:
        """Return :func:`signature_of` of all parts together."""
        first = min(others)
        if first not in self._begun:
            before = {name: text for name, text in self._parts.items() if name < first}
            self._begun[first] = sha256(f"{{{_joined(before)}{',' if before else ''}".encode())
        hashed = self._begun[first].copy()
        after = {name: text for name, text in self._parts.items() if name > first}
        hashed.update(f"{_joined({**after, **others})}}}".encode())
        return hashed.hexdigest()


def _joined(parts: Mapping[str, str]) -> str:
    return ",".join(f'"{name}":{parts[name]}' for name in sorted(parts))


def is_neutral(neutral_keys: tuple[str, ...], seed_key: str) -> Callable[[str], bool]:
    """Return the test for dotted keys that have no part in the identity; the seed stands there by itself.

    >>> neutral = is_neutral(("output.", "loader.workers"), "seed")
    >>> [key for key in ("output.path", "loader.workers", "loader.batch", "seed") if not neutral(key)]
    ['loader.batch']
    """
    prefixes = tuple(key for key in neutral_keys if key.endswith("."))
    exact = frozenset(key for key in neutral_keys if not key.endswith(".")) | {seed_key}
    return lambda key: key in exact or key.startswith(prefixes)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted key -> value of a nested mapping."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested mapping of dotted keys; the inverse of :func:`flatten`."""
    tree: dict[str, Any] = {}
    for dotted, value in flat.items():
        *path, key = dotted.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[key] = value
    return tree


def with_values(tree: Mapping[str, Any], flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return a nested mapping with some dotted keys replaced; it shares the nodes that do not change."""
    result = dict(tree)
    below: dict[str, dict[str, Any]] = {}
    for dotted, value in flat.items():
        key, _, rest = dotted.partition(".")
        if rest:
            below.setdefault(key, {})[rest] = value
        else:
            result[key] = value
    for key, values in below.items():
        result[key] = with_values(tree[key], values)
    return result
