"""Spaces: the configurations to try, as data.

::

    grid({"train.batch_size": [2, 4]})                                      # every combination
    zipped({"model.backbone_arch": ["ResNet50", "ResNet101"], "train.optim.lr": [1e-3, 5e-4]})   # side by side
    draws({"train.optim.lr": loguniform(1e-5, 1e-2), "train.batch_size": choice([2, 4])}, n=20)  # at random

``a * b`` combines every point of both, ``a + b`` tries one after the other, ``a.where(condition)`` drops points, and
``a * when(condition, b)`` combines only the points for which the condition holds.

Draw ``i`` depends on the seed, on ``i`` and on the name of the key alone: more draws keep those there were, and a
further key leaves the values of the others as they are.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.errors import DescriptionError

Point = Mapping[str, Any]
"""One point of a space: dotted configuration key -> value."""

Condition = Callable[[Point], bool]


@dataclass(frozen=True)
class Space:
    """Points to try, in order."""

    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(self.points))

    def __mul__(self, other: Space | Conditional) -> Space:
        _require_space("*", other, (Space, Conditional))
        applies: Condition = other.condition if isinstance(other, Conditional) else lambda point: True
        inner = other.space if isinstance(other, Conditional) else other
        combined: list[Point] = []
        for point in self.points:
            if not _holds(applies, point):
                combined.append(point)
                continue
            for added in inner.points:
                shared = sorted(point.keys() & added.keys())
                if shared:
                    raise DescriptionError(
                        f"Space: both factors of a product set {', '.join(shared)}; set a key in one of them"
                    )
                combined.append({**point, **added})
        return Space(tuple(combined))

    def __add__(self, other: Space) -> Space:
        _require_space("+", other, (Space,))
        return Space(self.points + other.points)

    def where(self, condition: Condition) -> Space:
        """Return the points for which the condition holds."""
        return Space(tuple(point for point in self.points if _holds(condition, point)))


@dataclass(frozen=True)
class Conditional:
    """A factor of a product for the points that satisfy a condition; the others stay as they are."""

    condition: Condition
    space: Space


def when(condition: Condition, space: Space) -> Conditional:
    """Return the right factor of a product that applies where the condition holds.

    >>> momentum = when(lambda point: point["optim"] == "sgd", grid({"momentum": [0.8, 0.9]}))
    >>> for point in (grid({"optim": ["sgd", "adam"]}) * momentum).points:
    ...     print(point)
    {'optim': 'sgd', 'momentum': 0.8}
    {'optim': 'sgd', 'momentum': 0.9}
    {'optim': 'adam'}
    """
    return Conditional(condition, space)


def grid(axes: Mapping[str, Iterable[Any]]) -> Space:
    """Return every combination of the values; the last key varies fastest.

    >>> [tuple(point.values()) for point in grid({"lr": [0.1, 0.01], "batch": [2, 4]}).points]
    [(0.1, 2), (0.1, 4), (0.01, 2), (0.01, 4)]
    """
    columns = {key: _values("grid", key, values) for key, values in axes.items()}
    return Space(tuple(dict(zip(columns, values, strict=True)) for values in itertools.product(*columns.values())))


def zipped(axes: Mapping[str, Iterable[Any]]) -> Space:
    """Return the first values of all keys, then the second ones, and so on; all lists are equally long.

    >>> [tuple(point.values()) for point in zipped({"lr": [0.1, 0.01], "batch": [2, 4]}).points]
    [(0.1, 2), (0.01, 4)]
    """
    columns = {key: _values("zipped", key, values) for key, values in axes.items()}
    lengths = {key: len(values) for key, values in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise DescriptionError(f"zipped: expected lists of the same length; {shown}")
    return Space(tuple(dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)))


class Domain(ABC):
    """The values that one key can take in a random draw."""

    @abstractmethod
    def at(self, share: float) -> Any:
        """Return the value below which a share of all draws lies; ``share`` is in [0, 1)."""


@dataclass(frozen=True)
class Choice(Domain):
    """One of some values, all equally likely."""

    values: tuple[Any, ...]

    def at(self, share: float) -> Any:
        """Return the value at a share of the list."""
        return self.values[int(share * len(self.values))]

    def place(self, value: Any) -> int:
        """Return the place of a value in the list; a tuple and the list of its items are the same value."""
        return [_listed(one) for one in self.values].index(_listed(value))


@dataclass(frozen=True)
class Uniform(Domain):
    """A number between two bounds."""

    low: float
    high: float

    def at(self, share: float) -> float:
        """Return the number at a share of the range."""
        return self.low + share * (self.high - self.low)


@dataclass(frozen=True)
class LogUniform(Domain):
    """A number between two bounds, with an even logarithm."""

    low: float
    high: float

    def at(self, share: float) -> float:
        """Return the number at a share of the range of logarithms."""
        value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        return min(max(value, self.low), self.high)


@dataclass(frozen=True)
class RandInt(Domain):
    """A whole number from ``low`` to ``high - 1``."""

    low: int
    high: int

    def at(self, share: float) -> int:
        """Return the whole number at a share of the range."""
        return self.low + int(share * (self.high - self.low))


def choice(values: Iterable[Any]) -> Domain:
    """Return the domain of some values, all equally likely."""
    return Choice(tuple(_values("choice", "values", values)))


def uniform(low: float, high: float) -> Domain:
    """Return the domain of the numbers from ``low`` up to ``high``, all equally likely."""
    _require_range("uniform", low, high)
    return Uniform(float(low), float(high))


def loguniform(low: float, high: float) -> Domain:
    """Return the domain of the numbers from ``low`` up to ``high`` whose logarithms are equally likely."""
    _require_range("loguniform", low, high)
    if low <= 0:
        raise DescriptionError(f"loguniform: expected a lower bound above 0, got {low!r}")
    return LogUniform(float(low), float(high))


def randint(low: int, high: int) -> Domain:
    """Return the domain of the whole numbers from ``low`` to ``high - 1``, as Ray and NumPy count them."""
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int):
            raise DescriptionError(f"randint: expected whole numbers, got {bound!r}")
    _require_range("randint", low, high)
    return RandInt(low, high)


def draws(domains: Mapping[str, Domain], n: int, seed: int = 0) -> Space:
    """Return ``n`` random points; each key is drawn from its domain, independently of the others.

    >>> few, more = (draws({"batch": choice([2, 4, 8])}, n).points for n in (2, 3))
    >>> few == more[:2]
    True
    """
    for key, domain in domains.items():
        if not isinstance(domain, Domain):
            raise DescriptionError(
                f"draws: {key}: expected choice(...), uniform(...), loguniform(...) or randint(...), got {domain!r}"
            )
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise DescriptionError(f"draws: n: expected a positive number of points, got {n!r}")
    return Space(tuple({key: d.at(_share(seed, i, key)) for key, d in domains.items()} for i in range(n)))


def _share(seed: int, index: int, key: str) -> float:
    """Return a number in [0, 1) that looks random and is the same on every machine and in every version."""
    digest = hashlib.sha256(f"{seed}/{index}/{key}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def _values(function: str, key: str, values: Iterable[Any]) -> Sequence[Any]:
    if isinstance(values, Domain):
        raise DescriptionError(
            f"{function}: {key}: expected a list of values; a random value is for draws({{...}}, n=...)"
        )
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise DescriptionError(f"{function}: {key}: expected a list of values, got {values!r}; write [{values!r}]")
    listed = list(values)
    if not listed:
        raise DescriptionError(f"{function}: {key}: the list of values is empty")
    return listed


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


def _require_range(function: str, low: float, high: float) -> None:
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
            raise DescriptionError(f"{function}: expected two numbers, got {low!r} and {high!r}")
    if low >= high:
        raise DescriptionError(f"{function}: expected a lower bound below the upper one, got {low!r} and {high!r}")


def _require_space(operator: str, other: object, kinds: tuple[type, ...]) -> None:
    if not isinstance(other, kinds):
        got = f"{type(other).__name__} {other!r:.80}"
        hint = "; write space * when(...)" if isinstance(other, Conditional) else ""
        raise DescriptionError(f"Space {operator} ...: expected a space, such as grid({{...}}), got {got}{hint}")


def _holds(condition: Condition, point: Point) -> bool:
    try:
        return bool(condition(point))
    except KeyError as e:
        raise DescriptionError(
            f"Space: a condition reads {e.args[0]}, which the point {dict(point)} does not set; "
            "put the factor that sets it to the left, or use point.get"
        ) from e
