"""A sweep's decisions in Ray Tune's terms: what to start next, and whether a trial goes on.

The early-stopping rules are Tune's own schedulers. They see each trial under its signature and never a trial of Tune,
so that what was measured before a driver was killed, or by another experiment, can be told to them as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import ray
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler
from ray.tune.search import Searcher

from orchestration.describe import ASHA, HyperBand, MedianStopping, Sweep
from orchestration.launch.ray.trainable import Session
from orchestration.resources import Resources
from orchestration.runs import Runs

if TYPE_CHECKING:
    from orchestration.launch.sweeps.contract import Rule, SweepRun

WORST = 1e300
"""Stands for a value that is not a number: such a trial is worse than any other."""


def rule_of(sweep: Sweep) -> Rule:
    """Return the rule of a sweep."""
    return _NoRule() if sweep.scheduler is None or sweep.is_population else _TuneRule(sweep)


def trials_at_a_time(resources: Resources, slots: int | None) -> int:
    """Return how many trials the cluster can run at once, so that none is chosen before there is room for it."""
    fitting = 0
    for node in ray.nodes():
        if node["Alive"]:
            offer = node["Resources"]
            by_cpu = int(offer.get("CPU", 0) // resources.cpus)
            fitting += min(by_cpu, int(offer.get("GPU", 0) // resources.gpus)) if resources.gpus else by_cpu
    fitting = max(1, fitting // resources.nodes)
    return min(fitting, slots) if slots else fitting


@dataclass(frozen=True)
class _Known:
    """A trial as Tune's schedulers see it."""

    trial_id: str


class _NobodyWaits:
    """The part of Tune's controller that a rule asks for: no trial yields its place to another."""

    def get_live_trials(self) -> list[Any]:
        return []


class _NoRule:
    def stops(self, signature: str, step: int, value: float) -> bool:
        return False


class _TuneRule:
    """One of Tune's schedulers, told about trials by their signatures."""

    def __init__(self, sweep: Sweep) -> None:
        self._last_step = math.inf
        self._metric = sweep.metric
        self._worst = -WORST if sweep.mode == "max" else WORST
        self._known: dict[str, _Known] = {}
        self._stopped: set[str] = set()
        settings: dict[str, Any] = {"time_attr": "step", "metric": sweep.metric, "mode": sweep.mode}
        rule = sweep.scheduler
        self._scheduler: Any  # it is typed for trials and controllers of Tune
        if isinstance(rule, ASHA | HyperBand):
            self._last_step = rule.max_step
            self._scheduler = AsyncHyperBandScheduler(
                max_t=rule.max_step,
                grace_period=rule.grace,
                reduction_factor=rule.reduction_factor,
                brackets=rule.brackets if isinstance(rule, HyperBand) else 1,
                **settings,
            )
        elif isinstance(rule, MedianStopping):
            self._scheduler = MedianStoppingRule(
                grace_period=rule.grace, min_samples_required=rule.min_trials, **settings
            )
        else:
            raise TypeError(f"{rule!r} does not stop trials")

    def stops(self, signature: str, step: int, value: float) -> bool:
        """Take a value; a trial that is at its last step, or was stopped before, is not judged any more."""
        if step >= self._last_step or signature in self._stopped:
            return False
        if signature not in self._known:
            self._add(signature)
        result = {"step": step, self._metric: value if math.isfinite(value) else self._worst}
        decision = self._scheduler.on_trial_result(_NobodyWaits(), self._known[signature], result)
        if decision == TrialScheduler.STOP:
            self._stopped.add(signature)
        return bool(decision == TrialScheduler.STOP)

    def _add(self, signature: str) -> None:
        """Tell the scheduler of a trial; the bracket that it draws for it is the same for every driver."""
        self._known[signature] = _Known(signature)
        before = np.random.get_state()
        np.random.seed(int(signature[:8], 16))
        try:
            self._scheduler.on_trial_add(_NobodyWaits(), self._known[signature])
        finally:
            np.random.set_state(before)


class _OfThisProcess:
    """Tune stores everything it is given, to restore it one day; what is stored of this is empty, and never read."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class Decisions(_OfThisProcess, FIFOScheduler):
    """Whether a trial goes on, as Tune asks for it."""

    def __init__(self, run: SweepRun) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # of Tune
        self._run = run

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stop the worker of a trial when the sweep says so."""
        metric = self._run.sweep.metric
        if metric not in result:
            return TrialScheduler.CONTINUE
        stops = self._run.learn(_signature(trial.config), result["step"], result[metric])
        return TrialScheduler.STOP if stops else TrialScheduler.CONTINUE


class NextTrials(_OfThisProcess, Searcher):
    """Which trial is started next, as Tune asks for it."""

    def __init__(self, run: SweepRun, runs: Runs, session: Session) -> None:
        super().__init__(metric=None, mode="max")
        self._run = run
        self._runs = runs
        self._session = session
        self._signatures: dict[str, str] = {}

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Accept whatever Tune says about the metric: the sweep knows it."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial; None to be asked again later, ``FINISHED`` when there is none."""
        if self._session.is_stopping():
            return Searcher.FINISHED
        trial = self._run.next_trial()
        if trial is None:
            return Searcher.FINISHED if self._run.is_finished else None
        self._signatures[trial_id] = trial.signature
        return {
            "folder": str(self._runs.folder(trial.signature).path),
            "session": str(self._session.folder),
            "cwd": str(Path.cwd()),
            "metric": self._run.sweep.metric,
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the sweep that a worker has ended, well or not."""
        signature = self._signatures.pop(trial_id, None)
        if signature is not None:
            self._run.note_end(signature, failed=error or signature in self._session.reasons())

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: the trial folders and the sweep's record are the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing back."""


def _signature(config: dict[str, Any]) -> str:
    return Path(config["folder"]).name
