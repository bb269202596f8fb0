"""The next point of a search, as a function of the results there are: nothing is kept between two choices.

A choice depends on the searcher's seed, on its index and on the results known when it is made, so a search that was
killed goes on as it would have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from orchestration.describe import Point, Sweep
from orchestration.spaces import Choice, Domain, LogUniform, RandInt, Uniform
from orchestration.sweep_methods import BOHB, TPE

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

SIGNIFICANT_DIGITS = 6
"""A chosen number is rounded to so many significant digits: it becomes part of a trial's name."""


@dataclass(frozen=True)
class Observation:
    """What is known of one point.

    Args:
        point: a value for every domain.
        end: ``done`` and ``pruned`` trials are learned from; ``open`` ones keep the search from choosing the same.
        scores: step -> value of the metric.
    """

    point: Point
    end: Literal["done", "pruned", "open", "failed"]
    scores: Mapping[int, float] = field(default_factory=dict)

    @property
    def score(self) -> float | None:
        """The last finite value."""
        finite = [step for step, value in self.scores.items() if isfinite(value)]
        return self.scores[max(finite)] if finite else None


def suggest(sweep: Sweep, index: int, observations: Sequence[Observation]) -> dict[str, Any]:
    """Return the point with the given index."""
    if isinstance(sweep.searcher, TPE):
        point = _suggest_by_tpe(sweep, _seed(sweep.searcher.seed, index), observations)
    elif isinstance(sweep.searcher, BOHB):
        point = _suggest_by_bohb(sweep, _seed(sweep.searcher.seed, index), observations)
    else:
        raise TypeError(f"{sweep.searcher!r} does not choose points from results")
    return {key: _rounded(sweep.domains[key], point[key]) for key in sweep.domains}


def _suggest_by_tpe(sweep: Sweep, seed: int, observations: Sequence[Observation]) -> dict[str, Any]:
    import optuna  # only the driver of such a sweep needs it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0, multivariate=False, constant_liar=True)
    study = optuna.create_study(direction="maximize" if sweep.mode == "max" else "minimize", sampler=sampler)
    distributions = {key: _distribution(domain) for key, domain in sweep.domains.items()}
    study.add_trials([_optuna_trial(observation, sweep, distributions) for observation in observations])
    chosen = study.ask(distributions).params
    return {key: _from_index(domain, chosen[key]) for key, domain in sweep.domains.items()}


def _optuna_trial(observation: Observation, sweep: Sweep, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    states = {
        "done": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "open": TrialState.RUNNING,
        "failed": TrialState.FAIL,
    }
    finished = observation.end in ("done", "pruned")
    known = observation.end if not finished or observation.score is not None else "failed"
    return create_trial(
        state=states[known],
        params={key: _to_index(domain, observation.point[key]) for key, domain in sweep.domains.items()},
        distributions=distributions,
        value=observation.score if known in ("done", "pruned") else None,
        intermediate_values={step: value for step, value in observation.scores.items() if isfinite(value)},
    )


def _distribution(domain: Domain) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Choice):
        return CategoricalDistribution(range(len(domain.values)))
    if isinstance(domain, RandInt):
        return IntDistribution(domain.low, domain.high - 1)
    if isinstance(domain, Uniform | LogUniform):
        return FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniform))
    raise TypeError(f"{domain!r} is not one of the domains of orchestration.describe")


def _suggest_by_bohb(sweep: Sweep, seed: int, observations: Sequence[Observation]) -> dict[str, Any]:
    import ConfigSpace
    import numpy as np
    from hpbandster.core.dispatcher import Job
    from hpbandster.optimizers.config_generators.bohb import BOHB as Model  # noqa: N811

    space = ConfigSpace.ConfigurationSpace(seed=seed)
    space.add([_hyperparameter(key, domain) for key, domain in sweep.domains.items()])
    before = np.random.get_state()
    np.random.seed(seed)  # the model draws from the global generator
    try:
        model = Model(space)
        jobs = _bohb_jobs(sweep, observations, Job)
        last_of_budget = {job.kwargs["budget"]: job for job in jobs}
        for job in jobs:
            model.new_result(job, update_model=job is last_of_budget[job.kwargs["budget"]])
        chosen, _ = model.get_config(max((job.kwargs["budget"] for job in jobs), default=1))
    finally:
        np.random.set_state(before)
    return {key: _from_index(domain, chosen[key]) for key, domain in sweep.domains.items()}


def _bohb_jobs(sweep: Sweep, observations: Sequence[Observation], job_type: Any) -> list[Any]:
    """Return a job for each rung that a trial has passed, and for its end; budgets number the rungs."""
    rungs = [*getattr(sweep.scheduler, "rungs", ()), float("inf")]
    jobs = []
    for budget, rung in enumerate(rungs, start=1):
        for number, observation in enumerate(observations):
            passed = any(step >= rung for step in observation.scores)
            if observation.end != "done" and not (observation.end == "pruned" and passed):
                continue
            reached = {step: value for step, value in observation.scores.items() if isfinite(value) and step <= rung}
            if not reached:
                continue
            score = reached[max(reached)]
            config = {key: _to_index(domain, observation.point[key]) for key, domain in sweep.domains.items()}
            job = job_type((0, budget, number), config=config, budget=float(budget))
            job.result = {"loss": -score if sweep.mode == "max" else score}
            jobs.append(job)
    return jobs


def _hyperparameter(key: str, domain: Domain) -> Any:
    import ConfigSpace

    if isinstance(domain, Choice):
        return ConfigSpace.CategoricalHyperparameter(key, list(range(len(domain.values))))
    if isinstance(domain, RandInt):
        return ConfigSpace.UniformIntegerHyperparameter(key, domain.low, domain.high - 1)
    if isinstance(domain, Uniform | LogUniform):
        return ConfigSpace.UniformFloatHyperparameter(key, domain.low, domain.high, log=isinstance(domain, LogUniform))
    raise TypeError(f"{domain!r} is not one of the domains of orchestration.describe")


def _to_index(domain: Domain, value: Any) -> Any:
    """Return the place of a choice in its list: values themselves may be lists, which no searcher takes."""
    return domain.place(value) if isinstance(domain, Choice) else value


def _from_index(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Choice):
        return domain.values[int(value)]
    return int(value) if isinstance(domain, RandInt) else float(value)


def _rounded(domain: Domain, value: Any) -> Any:
    if not isinstance(domain, Uniform | LogUniform):
        return value
    return min(max(float(f"{value:.{SIGNIFICANT_DIGITS}g}"), domain.low), domain.high)


def _seed(seed: int, index: int) -> int:
    return int.from_bytes(sha256(f"{seed}/{index}".encode()).digest()[:4], "big")
