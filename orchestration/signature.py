"""The identity of a trial: a hash of everything that can change its result."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

SHOWN_DIGITS = 12
"""How many of a signature's 64 digits people see."""


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_json(value: Any) -> str:
    """Return one text per value: keys sorted, tuples as lists, floats by ``repr``."""
    return _ENCODER.encode(value)


def signature_of(parts: Mapping[str, str]) -> str:
    """Return the hash of an object given as name -> canonical JSON: 64 hexadecimal digits."""
    text = ",".join(f'"{name}":{parts[name]}' for name in sorted(parts))
    return sha256(f"{{{text}}}".encode()).hexdigest()


def is_neutral(neutral_keys: tuple[str, ...], seed_key: str) -> Callable[[str], bool]:
    """Return the test for dotted keys that have no part in the identity; the seed stands there by itself."""
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
