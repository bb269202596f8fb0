"""Experiments expanded into drafts of trials, each with the drafts it needs, in dependency order."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from orchestration.describe import Experiment, Need, Point, Variant
from orchestration.errors import DescriptionError


class Key(NamedTuple):
    """What tells the drafts of a plan apart."""

    experiment: str
    variant: str
    point: int
    seed: int

    @property
    def place(self) -> str:
        """The description it comes from, for messages."""
        return f"{self.experiment}/{self.variant}"


@dataclass(frozen=True)
class NeededDraft:
    """A need that was matched. ``by_seed`` tells that other seeds of the dependent need other seeds of this one."""

    key: Key
    by_seed: bool


@dataclass(frozen=True)
class Draft:
    """One combination of variant, point and seed, before its configuration is resolved."""

    key: Key
    experiment: Experiment
    variant: Variant
    point: Point
    needs: Mapping[str, NeededDraft]
    requested: bool

    @property
    def task(self) -> str:
        """The name of the task."""
        return self.variant.task or self.experiment.task

    @property
    def name(self) -> str:
        """The name of the trial; as a rule ``<variant>[,key=value...]-seed<k>``."""
        overrides = "".join(f",{key}={_shown(value)}" for key, value in self.point.items())
        return self.experiment.trial_name.format(variant=self.variant.name, point=overrides, seed=self.key.seed)


class Expansion:
    """The combinations of several experiments and what they need of each other."""

    def __init__(self, listed: Iterable[Experiment], only: Sequence[str] = ()) -> None:
        """Take the experiments of a file; ``only`` names the requested ones, none given are all."""
        listed = list(listed)
        self.experiments: dict[str, Experiment] = {}
        for experiment in listed:
            self._know(experiment)
        unknown = sorted(set(only) - self.experiments.keys())
        if unknown:
            raise DescriptionError(
                f"there is no experiment {', '.join(unknown)}; there are: {', '.join(sorted(self.experiments))}"
            )
        self.requested = [experiment for experiment in listed if not only or experiment.name in only]
        self._requested_names = {experiment.name for experiment in self.requested}
        self._drafts: dict[Key, Draft] = {}
        self._indices: dict[str, _PointIndex] = {}

    def drafts(self) -> list[Draft]:
        """Return the drafts; each comes after those it needs, otherwise in the order of the description."""
        for experiment in self.requested:
            for variant in experiment.variants:
                for point in range(len(_points(experiment))):
                    for seed in experiment.seeds:
                        self._visit(Key(experiment.name, variant.name, point, seed), ())
        return list(self._drafts.values())

    def _know(self, experiment: Experiment) -> None:
        known = self.experiments.setdefault(experiment.name, experiment)
        if known is not experiment:
            if known != experiment:
                raise DescriptionError(f"two different experiments are called {experiment.name!r}; rename one")
            return
        for variant in experiment.variants:
            for need in (*experiment.needs.values(), *variant.needs.values()):
                if isinstance(need.experiment, Experiment) and need.experiment is not experiment:
                    self._know(need.experiment)

    def _visit(self, key: Key, path: tuple[Key, ...]) -> None:
        if key in self._drafts:
            return
        if key in path:
            circle = [*path[path.index(key) :], key]
            raise DescriptionError(f"needs go in a circle: {' -> '.join(one.place for one in circle)}")
        experiment = self.experiments[key.experiment]
        variant = _variant(experiment, key.variant)
        needs = {
            name: self._match(need, key, f"{key.place}: need {name!r}")
            for name, need in {**experiment.needs, **variant.needs}.items()
        }
        for need in needs.values():
            self._visit(need.key, (*path, key))
        requested = key.experiment in self._requested_names
        self._drafts[key] = Draft(key, experiment, variant, _points(experiment)[key.point], needs, requested)

    def _index(self, experiment: Experiment) -> _PointIndex:
        if experiment.name not in self._indices:
            self._indices[experiment.name] = _PointIndex(experiment)
        return self._indices[experiment.name]

    def _match(self, need: Need, dependent: Key, place: str) -> NeededDraft:
        provider = self.experiments.get(need.experiment_name)
        if provider is None:
            raise DescriptionError(
                f"{place}: there is no experiment {need.experiment_name!r}; there are: "
                f"{', '.join(sorted(self.experiments))}"
            )
        variant = need.variant or _only_variant(provider, dependent.variant, place)
        _variant(provider, variant, place)
        point = self._index(provider).matching(_points(self.experiments[dependent.experiment])[dependent.point], place)
        seed, by_seed = _matching_seed(need, provider, self.experiments[dependent.experiment], dependent.seed, place)
        return NeededDraft(Key(provider.name, variant, point, seed), by_seed)


def _points(experiment: Experiment) -> tuple[Point, ...]:
    return experiment.space.points if experiment.space else ({},)


def _variant(experiment: Experiment, name: str, place: str = "") -> Variant:
    for variant in experiment.variants:
        if variant.name == name:
            return variant
    names = ", ".join(variant.name for variant in experiment.variants)
    raise DescriptionError(f"{place}: experiment {experiment.name!r} has no variant {name!r}; it has: {names}")


def _only_variant(provider: Experiment, dependent_variant: str, place: str) -> str:
    names = [variant.name for variant in provider.variants]
    if dependent_variant in names:
        return dependent_variant
    if len(names) == 1:
        return names[0]
    raise DescriptionError(
        f"{place}: experiment {provider.name!r} has several variants ({', '.join(names)}) and none is called "
        f"{dependent_variant!r}; name one: Need({provider.name + '/' + names[0]!r})"
    )


class _PointIndex:
    """The points of an experiment by their values, so that thousands of dependents find theirs at once."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._count = len(_points(experiment))
        self._found: dict[tuple[str, ...], dict[tuple[Any, ...], list[int]]] = {}  # keys -> values -> points
        for i, point in enumerate(_points(experiment)):
            keys = tuple(sorted(point))
            self._found.setdefault(keys, {}).setdefault(_values(point, keys), []).append(i)

    def matching(self, dependent: Point, place: str) -> int:
        """Return the only point all of whose values are the dependent's."""
        if self._count == 1:
            return 0
        fitting = [
            i
            for keys, points in self._found.items()
            if dependent.keys() >= set(keys)
            for i in points.get(_values(dependent, keys), [])
        ]
        if len(fitting) != 1:
            raise DescriptionError(
                f"{place}: experiment {self._experiment.name!r} is run at {self._count} points of its space and "
                f"{len(fitting)} of them agree with the dependent's point; give both experiments the same keys in "
                "their spaces"
            )
        return fitting[0]


def _values(point: Point, keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(_hashable(point[key]) for key in keys)


def _hashable(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    if isinstance(value, Mapping):
        return frozenset((key, _hashable(inner)) for key, inner in value.items())
    return value if isinstance(value, Hashable) else repr(value)


def _matching_seed(need: Need, provider: Experiment, dependent: Experiment, seed: int, place: str) -> tuple[int, bool]:
    if need.seed is not None:
        if need.seed not in provider.seeds:
            raise DescriptionError(f"{place}: experiment {provider.name!r} is not run with seed {need.seed}")
        return need.seed, False
    if set(dependent.seeds) <= set(provider.seeds):
        return seed, True
    if len(provider.seeds) == 1:
        return provider.seeds[0], False
    missing = sorted(set(dependent.seeds) - set(provider.seeds))
    raise DescriptionError(
        f"{place}: experiment {provider.name!r} is not run with seed {', '.join(map(str, missing))}; "
        "add it there, or fix one with Need(..., seed=...)"
    )


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{','.join(_shown(item) for item in value)}]"
    return str(value)
