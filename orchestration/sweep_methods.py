"""How a sweep explores its space: rules that stop unpromising trials early, and searchers that choose points.

All of them are plain settings; what they mean is done by Ray Tune's schedulers, Optuna, HpBandSter, and
``launch/sweeps/population.py``.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import ClassVar

from orchestration.errors import DescriptionError

STARTUP_POINTS = 8
"""Points that a searcher draws at random before it learns from results."""


@dataclass(frozen=True)
class ASHA:
    """Asynchronous successive halving: at each rung only the best ``1 / reduction_factor`` of the trials go on.

    The rungs are at ``grace``, ``grace * reduction_factor``, ... steps, below ``max_step``.

    Args:
        max_step: the last step of a trial, as the task logs it.
        grace: no trial is stopped before this step.
        reduction_factor: one in so many goes on.
    """

    max_step: int
    grace: int = 1
    reduction_factor: float = 4

    def __post_init__(self) -> None:
        _require_rungs("ASHA", self.max_step, self.grace, self.reduction_factor)

    @property
    def rungs(self) -> tuple[float, ...]:
        """The steps at which trials are compared.

        >>> ASHA(max_step=800, grace=100, reduction_factor=2).rungs
        (100, 200, 400)
        """
        return _rungs(self.max_step, self.grace, self.reduction_factor)


@dataclass(frozen=True)
class HyperBand:
    """Asynchronous HyperBand: several brackets of successive halving, which start to stop trials later and later.

    It hedges against too short a ``grace``: bracket ``k`` has its first rung at ``grace * reduction_factor**k``.

    Args:
        max_step: the last step of a trial, as the task logs it.
        grace: no trial is stopped before this step.
        reduction_factor: one in so many goes on.
        brackets: how many.
    """

    max_step: int
    grace: int = 1
    reduction_factor: float = 4
    brackets: int = 3

    def __post_init__(self) -> None:
        _require_rungs("HyperBand", self.max_step, self.grace, self.reduction_factor)
        _require_whole("HyperBand", "brackets", self.brackets, 1)
        if self.brackets > len(self.rungs):
            raise DescriptionError(
                f"HyperBand: brackets: {self.brackets} do not fit: below step {self.max_step} there are "
                f"{len(self.rungs)} rungs ({', '.join(f'{rung:g}' for rung in self.rungs)})"
            )

    @property
    def rungs(self) -> tuple[float, ...]:
        """The steps at which the first bracket compares trials; the others leave out the first ones."""
        return _rungs(self.max_step, self.grace, self.reduction_factor)


@dataclass(frozen=True)
class MedianStopping:
    """Stop a trial whose best value so far is worse than the median of the others' running means.

    Args:
        grace: no trial is stopped before this step, and what was logged before does not count.
        min_trials: so many others must have come as far.
    """

    grace: int = 1
    min_trials: int = 3

    def __post_init__(self) -> None:
        _require_whole("MedianStopping", "grace", self.grace, 1)
        _require_whole("MedianStopping", "min_trials", self.min_trials, 1)


@dataclass(frozen=True)
class PBT:
    """Population based training: the worst members go on from copies of the best ones with perturbed settings.

    Args:
        population: how many members; each is a trial that starts at a random point of the domains.
        interval: steps after which a member is compared with the others.
        quantile: this share of the members is replaced by copies of members of the best share.
        resample: the probability that a setting is drawn anew; otherwise it is perturbed.
        factors: a number is multiplied by one of these; a choice moves to a neighbour.
        seed: of the first points and of the perturbations.
    """

    population: int
    interval: int
    quantile: float = 0.25
    resample: float = 0.25
    factors: tuple[float, float] = (0.8, 1.2)
    seed: int = 0

    def __post_init__(self) -> None:
        _require_whole("PBT", "population", self.population, 2)
        _require_whole("PBT", "interval", self.interval, 1)
        _require_whole("PBT", "seed", self.seed, 0)
        _require_share("PBT", "quantile", self.quantile, 0.5)
        _require_share("PBT", "resample", self.resample, 1.0)
        if len(self.factors) != 2 or not all(_is_number(factor) and factor > 0 for factor in self.factors):
            raise DescriptionError(f"PBT: factors: expected two positive numbers, got {self.factors!r}")
        object.__setattr__(self, "factors", tuple(map(float, self.factors)))


@dataclass(frozen=True)
class Random:
    """``n`` random points, all known before anything runs; a larger ``n`` keeps the first ones."""

    n: int
    seed: int = 0

    def __post_init__(self) -> None:
        _require_whole("Random", "n", self.n, 1)
        _require_whole("Random", "seed", self.seed, 0)

    @property
    def known_points(self) -> int:
        """How many points are known before anything runs."""
        return self.n


@dataclass(frozen=True)
class LearningSearcher:
    """A searcher that draws its first points at random and learns from what they gave.

    Args:
        n: how many points; a larger one goes on where the search has stopped.
        seed: of the first points and of the choice.
        startup: the first so many points are drawn at random, and known before anything runs.
    """

    n: int
    seed: int = 0
    startup: int = STARTUP_POINTS

    packages: ClassVar[tuple[str, ...]]
    """What does the learning."""

    def __post_init__(self) -> None:
        _require_search(type(self).__name__, self.n, self.seed, self.startup)
        _require_modules(type(self).__name__, *self.packages)

    @property
    def known_points(self) -> int:
        """How many points are known before anything runs."""
        return min(self.n, self.startup)


class TPE(LearningSearcher):
    """``n`` points of Optuna's tree-structured Parzen estimator, which learns from the trials that have ended."""

    packages = ("optuna",)


class BOHB(LearningSearcher):
    """``n`` points of BOHB's kernel density model, which learns from the steps that most trials have reached.

    With :class:`ASHA` or :class:`HyperBand` as the scheduler.
    """

    packages = ("hpbandster", "ConfigSpace")


Scheduler = ASHA | HyperBand | MedianStopping | PBT
Searcher = Random | TPE | BOHB


def _rungs(max_step: int, grace: int, reduction_factor: float) -> tuple[float, ...]:
    count = math.ceil(math.log(max_step / grace) / math.log(reduction_factor)) + 1
    return tuple(rung for k in range(count) if (rung := grace * reduction_factor**k) < max_step)


def _require_rungs(name: str, max_step: int, grace: int, reduction_factor: float) -> None:
    _require_whole(name, "max_step", max_step, 1)
    _require_whole(name, "grace", grace, 1)
    if not _is_number(reduction_factor) or reduction_factor <= 1:
        raise DescriptionError(f"{name}: reduction_factor: expected a number above 1, got {reduction_factor!r}")
    if grace >= max_step:
        raise DescriptionError(
            f"{name}: grace: expected a step below max_step ({max_step}), got {grace}: no trial would ever be stopped"
        )


def _require_search(name: str, n: int, seed: int, startup: int) -> None:
    _require_whole(name, "n", n, 1)
    _require_whole(name, "seed", seed, 0)
    _require_whole(name, "startup", startup, 1)


def _require_whole(name: str, key: str, value: object, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise DescriptionError(f"{name}: {key}: expected a whole number from {low} on, got {value!r}")


def _require_share(name: str, key: str, value: object, high: float) -> None:
    if not _is_number(value) or not 0 <= value <= high:  # type: ignore[operator]
        raise DescriptionError(f"{name}: {key}: expected a number from 0 to {high:g}, got {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require_modules(name: str, *modules: str) -> None:
    absent = [module for module in modules if importlib.util.find_spec(module) is None]
    if absent:
        raise DescriptionError(
            f"{name}: needs {' and '.join(absent)}; install them with: pip install 'oneshot-lab[search]'"
        )
