"""What a user writes: experiments, their variants, spaces and seeds, and the tables to read from them.

::

    training = Experiment(
        name="losses",
        task="os2d.tasks:train",
        config={"train.optim.max_iter": 2000},
        variants=[Variant("contrastive", {"train.objective.class_objective": "ContrastiveLoss"}), Variant("rll")],
        space=grid({"train.optim.lr": [1e-3, 1e-4]}),
        seeds=seeds(3),
    )

makes 2 variants x 2 learning rates x 3 seeds = 12 trials.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

from orchestration.describe_tables import Column, Published, Row, Table
from orchestration.errors import DescriptionError
from orchestration.field_checks import NAME, require, require_distinct, require_each, require_mapping, require_name
from orchestration.resources import Resources
from orchestration.spaces import (
    Conditional,
    Domain,
    Point,
    Space,
    choice,
    draws,
    grid,
    loguniform,
    randint,
    uniform,
    when,
    zipped,
)
from orchestration.sweep_methods import (
    ASHA,
    BOHB,
    PBT,
    TPE,
    HyperBand,
    LearningSearcher,
    MedianStopping,
    Random,
    Scheduler,
    Searcher,
)

__all__ = [
    "ASHA",
    "BOHB",
    "PBT",
    "TPE",
    "Column",
    "Conditional",
    "Experiment",
    "HyperBand",
    "MedianStopping",
    "Need",
    "Point",
    "Published",
    "Random",
    "Resources",
    "Row",
    "Space",
    "Sweep",
    "Table",
    "Variant",
    "choice",
    "draws",
    "grid",
    "loguniform",
    "randint",
    "seeds",
    "uniform",
    "when",
    "zipped",
]


def seeds(count_or_seeds: int | Iterable[int]) -> tuple[int, ...]:
    """Return the seeds 0, 1, ... when given how many, or exactly the given ones."""
    if isinstance(count_or_seeds, bool | str) or not isinstance(count_or_seeds, int | Iterable):
        raise DescriptionError(f"seeds: expected a number of seeds or a list of them, got {count_or_seeds!r}")
    return tuple(range(count_or_seeds)) if isinstance(count_or_seeds, int) else tuple(count_or_seeds)


@dataclass(frozen=True)
class Need:
    """The finished trial another trial reads from; the task finds its folder in ``run.inputs``.

    The trial taken is the one with the dependent's seed, or the only one there is.

    Args:
        experiment: an experiment, its name, or ``"<experiment>/<variant>"``. An experiment given as an object need not
            be in the file: then only what is needed of it is run.
        variant: None takes the variant of the dependent's name, or the only one there is.
        seed: take the trial with this seed, whatever the dependent's is.
    """

    experiment: Experiment | str
    variant: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        require("Need", "experiment", self.experiment, (str, Experiment), "an experiment or its name")
        require("Need", "variant", self.variant, (str, type(None)), "the name of a variant")
        require("Need", "seed", self.seed, (int, type(None)), "a whole number")
        if isinstance(self.experiment, str) and "/" in self.experiment:
            experiment, _, variant = self.experiment.partition("/")
            if self.variant not in (None, variant):
                raise DescriptionError(f"Need({self.experiment!r}, {self.variant!r}): two different variants are named")
            object.__setattr__(self, "experiment", experiment)
            object.__setattr__(self, "variant", variant)

    @property
    def experiment_name(self) -> str:
        """The name of the experiment, however it was given."""
        return self.experiment if isinstance(self.experiment, str) else self.experiment.name


@dataclass(frozen=True)
class Variant:
    """One row of an experiment: what it changes against the experiment's configuration.

    Args:
        name: unique in its experiment; part of the trials' names.
        config: dotted key -> value.
        tags: what tables select rows by, over the experiment's tags.
        task: another task than the experiment's.
        needs: inputs in addition to the experiment's.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    task: str | None = None
    needs: Mapping[str, Need] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_name("Variant", self.name)
        require(f"variant {self.name!r}", "task", self.task, (str, type(None)), "'package.module:object'")
        _require_mappings(f"variant {self.name!r}", self.config, self.needs, self.tags)


@dataclass(frozen=True)
class Experiment:
    """A task run as variants x points of a space x seeds; each combination is one trial.

    Args:
        name: unique in a file; names the folder ``runs/by-name/<name>`` and the MLflow experiment.
        task: ``"package.module:object"``.
        config: dotted key -> value, over the task's defaults and under the variants'.
        variants: none given is one variant called ``default``.
        space: more overrides; every variant is run at each of its points.
        seeds: every combination is run once for each.
        resources: of each trial.
        needs: name of an input -> the trial that provides it.
        tags: of each trial.
        trial_name: pattern of the trials' names, with ``{variant}``, ``{point}`` and ``{seed}``.
    """

    name: str
    task: str
    config: Mapping[str, Any] = field(default_factory=dict)
    variants: Sequence[Variant] = ()
    space: Space | None = None
    seeds: Sequence[int] = (0,)
    resources: Resources = field(default_factory=Resources)
    needs: Mapping[str, Need] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    trial_name: str = "{variant}{point}-seed{seed}"

    def __post_init__(self) -> None:
        require_name("Experiment", self.name)
        place = f"experiment {self.name!r}"
        require(place, "task", self.task, str, "'package.module:object'")
        require(
            place, "space", self.space, (Space, type(None)), "grid({...}), zipped({...}), draws({...}, n=...) or None"
        )
        require(place, "resources", self.resources, Resources, "Resources(...)")
        _require_mappings(place, self.config, self.needs, self.tags)
        _require_pattern(place, self.trial_name)
        variants = require_each(place, "variants", self.variants, Variant, "Variant")
        object.__setattr__(self, "variants", variants or (Variant("default"),))
        object.__setattr__(self, "seeds", seeds(self.seeds))
        require_distinct(f"experiment {self.name!r}: variants", [variant.name for variant in self.variants])
        require_distinct(f"experiment {self.name!r}: seeds", self.seeds)
        for seed in self.seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
                raise DescriptionError(
                    f"experiment {self.name!r}: seeds: expected whole numbers from 0 on, got {seed!r}"
                )
        if not self.seeds:
            raise DescriptionError(f"experiment {self.name!r}: seeds: the list is empty; no trial would be run")
        if self.space is not None and not self.space.points:
            raise DescriptionError(f"experiment {self.name!r}: space: it has no points; no trial would be run")


@dataclass(frozen=True)
class Sweep(Experiment):
    """An experiment that looks for the best value of one metric.

    Either ``space`` lists the points, or ``domains`` says what each key can be and a searcher, or the population of
    :class:`PBT`, makes points of them.

    Args:
        domains: dotted key -> ``choice``, ``uniform``, ``loguniform`` or ``randint``.
        metric: the name it is logged under; its last value is a trial's score.
        mode: whether the largest or the smallest value is the best.
        scheduler: the rule that stops trials early; None runs each of them to its end.
        searcher: how points are chosen from the domains.
    """

    domains: Mapping[str, Domain] = field(default_factory=dict, kw_only=True)
    metric: str = field(kw_only=True)
    mode: Literal["max", "min"] = field(default="max", kw_only=True)
    scheduler: Scheduler | None = field(default=None, kw_only=True)
    searcher: Searcher | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        place = f"sweep {self.name!r}"
        if not isinstance(self.metric, str) or not self.metric:
            raise DescriptionError(f"{place}: metric: expected the name of a metric, got {self.metric!r}")
        if self.mode not in ("max", "min"):
            raise DescriptionError(f"{place}: mode: expected max or min, got {self.mode!r}")
        for key, kinds in (("scheduler", Scheduler), ("searcher", Searcher)):
            if getattr(self, key) is not None and not isinstance(getattr(self, key), kinds):
                names = ", ".join(kind.__name__ for kind in kinds.__args__)
                raise DescriptionError(f"{place}: {key}: expected {names} or None, got {getattr(self, key)!r}")
        if self.domains and self.space is not None:
            raise DescriptionError(f"{place}: both space and domains are given; a searcher makes points of the domains")
        object.__setattr__(self, "space", self._starting_points(place))
        super().__post_init__()
        if (self.is_adaptive or self.is_population) and len(self.variants) * len(self.seeds) > 1:
            raise DescriptionError(
                f"{place}: a search compares trials that differ in their points alone: give one seed and one variant "
                "(a choice between variants is a domain), and run the best point with more seeds in an experiment"
            )

    @classmethod
    def of(cls, experiment: Experiment, name: str, **settings: Any) -> Self:
        """Return the sweep of an experiment that is described already; ``settings`` are this class's, and win."""
        described = {one.name: getattr(experiment, one.name) for one in fields(Experiment)}
        if "domains" in settings:
            del described["space"]
        return cls(**{**described, "name": name, **settings})

    @property
    def is_adaptive(self) -> bool:
        """Tell whether points are chosen from results."""
        return isinstance(self.searcher, LearningSearcher)

    @property
    def is_population(self) -> bool:
        """Tell whether the settings of a trial change while it runs."""
        return isinstance(self.scheduler, PBT)

    @property
    def size(self) -> int:
        """How many points there are in the end."""
        if isinstance(self.searcher, LearningSearcher):
            return self.searcher.n
        return len(self.space.points) if self.space else 1

    def at(self, points: Sequence[Point]) -> Self:
        """Return the same sweep with the points that were chosen so far behind those it starts with."""
        known = copy(self)
        object.__setattr__(known, "space", Space(self._starting_points("").points + tuple(points)))
        return known

    def without_pruning(self) -> Self:
        """Return the same sweep with its trials run to their end."""
        if self.is_population:
            raise DescriptionError(f"sweep {self.name!r}: PBT changes its trials while they run; it has no other way")
        plain = copy(self)
        object.__setattr__(plain, "scheduler", None)
        return plain

    def _starting_points(self, place: str) -> Space:
        """Return the points that are known before anything runs."""
        if not self.domains:
            if self.searcher is not None or self.is_population:
                name = type(self.searcher or self.scheduler).__name__
                raise DescriptionError(
                    f"{place}: {name} needs domains={{key: uniform(...), ...}} to choose points from"
                )
            return self.space or Space(({},))
        if isinstance(self.scheduler, PBT):
            if self.searcher is not None:
                raise DescriptionError(
                    f"{place}: searcher: PBT draws the points of its population itself; leave it out"
                )
            return draws(self.domains, self.scheduler.population, self.scheduler.seed)
        if self.searcher is None:
            raise DescriptionError(
                f"{place}: domains need a searcher, such as Random(n=20) or TPE(n=20); fixed points are a space"
            )
        return draws(self.domains, self.searcher.known_points, self.searcher.seed)


def experiments_of(descriptions: Iterable[Experiment | Table]) -> list[Experiment]:
    """Return the experiments of a file, those that only a table brings along included, each once."""
    found: list[Experiment] = []
    for item in descriptions:
        for one in [item] if isinstance(item, Experiment) else item.experiments:
            if isinstance(one, Experiment) and not any(one is known for known in found):
                found.append(one)
    return found


def _require_pattern(place: str, pattern: object) -> None:
    require(place, "trial_name", pattern, str, "a text")
    try:
        example = str(pattern).format(variant="v", point="", seed=0)
    except (LookupError, ValueError):
        example = ""
    if not NAME.fullmatch(example):
        raise DescriptionError(
            f"{place}: trial_name {pattern!r}: expected a name with {{variant}}, {{point}} and {{seed}} in it, without "
            "slashes"
        )


def _require_mappings(place: str, config: object, needs: object, tags: object) -> None:
    require_mapping(place, "config", config)
    require_mapping(place, "needs", needs, Need, "a Need", "name of an input")
    require_mapping(place, "tags", tags, str, "a text", "tag")
