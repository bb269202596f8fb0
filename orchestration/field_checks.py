"""Checks that the fields of a description hold what belongs there, at the line that wrote them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from orchestration.errors import DescriptionError

Kinds = type | tuple[type, ...]
T = TypeVar("T")

NAME = re.compile(r"[^\W_][^/\\\x00-\x1f]*")
MAX_NAME = 200
"""Characters of a name: published names have up to 178, the name of a folder must stay below 255 bytes."""


def require(place: str, key: str, value: object, kinds: Kinds, expected: str) -> None:
    """Refuse a value that is of none of the kinds; ``expected`` says to people what they are."""
    if not isinstance(value, kinds):
        raise DescriptionError(f"{place}: {key}: expected {expected}, got {type(value).__name__} {value!r:.80}")


def require_each(place: str, key: str, values: Iterable[T], kinds: Kinds, expected: str) -> tuple[T, ...]:
    """Return a list as a tuple; refuse what is no list, and items of none of the kinds."""
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise DescriptionError(
            f"{place}: {key}: expected a list of {expected}s, got {type(values).__name__} {values!r:.80}"
        )
    listed = tuple(values)
    for i, value in enumerate(listed):
        require(place, f"{key}[{i}]", value, kinds, f"a {expected}")
    return listed


def require_mapping(
    place: str, key: str, values: object, kinds: Kinds = object, expected: str = "a value", names: str = "dotted key"
) -> None:
    """Refuse what is no mapping of texts to values of some kind."""
    if not isinstance(values, Mapping):
        raise DescriptionError(
            f"{place}: {key}: expected {{{names}: {expected.partition(' ')[2]}}}, "
            f"got {type(values).__name__} {values!r:.80}"
        )
    for name, value in values.items():
        if not isinstance(name, str):
            raise DescriptionError(f"{place}: {key}: expected a {names}, got {name!r}")
        require(place, f"{key}[{name!r}]", value, kinds, expected)


def require_name(kind: str, name: object) -> None:
    """Refuse a name that cannot be a folder's."""
    if not isinstance(name, str) or not NAME.fullmatch(name) or name != name.strip() or len(name) > MAX_NAME:
        raise DescriptionError(
            f"{kind}: name {name!r}: expected at most {MAX_NAME} characters that start with a letter or digit, "
            "without slashes and without spaces at the end; names become folders"
        )


def require_distinct(what: str, values: Sequence[object]) -> None:
    """Refuse values of which one is there twice."""
    twice = sorted(str(value) for value, count in Counter(values).items() if count > 1)
    if twice:
        raise DescriptionError(f"{what}: {', '.join(twice)} given more than once; each must be unique")
