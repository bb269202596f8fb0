"""From a metric over steps to one number, and from numbers over seeds to mean and standard deviation."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

Reduce = Literal["last", "first", "max", "min"]
Statistic = Literal["mean", "max", "min"]


class Spread(NamedTuple):
    """What several values gave: ``std`` is the sample standard deviation and None below two values."""

    mean: float | None
    std: float | None
    n: int


def reduce_steps(
    values: Mapping[int, float], reduce: Reduce, selection: Mapping[int, float] | None = None
) -> float | None:
    """Return one value of a metric; None when the step that counts has no finite number.

    Args:
        values: step -> value.
        reduce: which step counts. ``max`` and ``min`` look at finite values only and take the earliest of equal ones;
            ``last`` and ``first`` take that step even when it holds NaN: a run that diverged has no last value.
        selection: step -> value of another metric. The step is then chosen by that metric (``max``: where it is
            largest) among the steps that both metrics have, and the value is this metric's at that step.

    >>> test, validation = {10: 0.4, 20: 0.7, 30: 0.6}, {10: 0.5, 20: 0.6, 30: 0.8}
    >>> reduce_steps(test, "max"), reduce_steps(test, "last"), reduce_steps(test, "max", selection=validation)
    (0.7, 0.6, 0.6)
    """
    judged = dict(values) if selection is None else {s: v for s, v in selection.items() if s in values}
    if reduce in ("max", "min"):
        judged = {step: value for step, value in judged.items() if math.isfinite(value)}
    if not judged:
        return None
    value = values[_chosen_step(judged, reduce)]
    return value if math.isfinite(value) else None


def spread_of(values: Sequence[float], statistic: Statistic = "mean") -> Spread:
    """Return mean and spread of the finite values, or the largest or smallest of them, which has no spread.

    >>> spread_of([1.0, 3.0, float("nan")])
    Spread(mean=2.0, std=1.4142135623730951, n=2)
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return Spread(mean=None, std=None, n=0)
    if statistic == "mean":
        mean = math.fsum(finite) / len(finite)
        return Spread(mean=mean, std=statistics.stdev(finite) if len(finite) > 1 else None, n=len(finite))
    return Spread(mean=max(finite) if statistic == "max" else min(finite), std=None, n=len(finite))


def _chosen_step(judged: Mapping[int, float], reduce: Reduce) -> int:
    steps = sorted(judged)
    if reduce == "last":
        return steps[-1]
    if reduce == "first":
        return steps[0]
    if reduce == "max":
        return max(steps, key=judged.__getitem__)
    if reduce == "min":
        return min(steps, key=judged.__getitem__)
    raise ValueError(f"reduce: expected last, first, max or min, got {reduce!r}")
