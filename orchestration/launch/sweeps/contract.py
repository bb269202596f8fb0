"""What a sweep and whoever starts its trials ask of each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from orchestration.describe import Sweep
from orchestration.launch import Halt
from orchestration.runs import Runs
from orchestration.trial_description import Trial


class Rule(Protocol):
    """When a trial is stopped early."""

    def stops(self, signature: str, step: int, value: float) -> bool:
        """Take the value of the metric at a step of a trial; tell whether the trial should stop there."""


class SweepRun(Protocol):
    """The decisions of a sweep while it runs, for whoever starts its trials."""

    sweep: Sweep
    trials: list[Trial]
    on_new_trial: Callable[[Trial], object]

    def begin(self, rule: Rule) -> None:
        """Take the rule, and tell it what trials have measured before."""

    def next_trial(self) -> Trial | None:
        """Return the trial to start now; None when there is none at the moment."""

    @property
    def is_finished(self) -> bool:
        """Whether no trial is left to start, now or later."""

    def learn(self, signature: str, step: int, value: float) -> bool:
        """Take the value of the metric at a step; tell whether the worker should save and end now."""

    def note_end(self, signature: str, failed: bool) -> None:
        """Take notice that the worker of a trial ends or has ended; ``failed``: it is not tried again."""

    def reasons(self) -> dict[str, str]:
        """Return signature -> why the sweep cannot go on."""


@runtime_checkable
class SweepLauncher(Protocol):
    """A launcher whose workers can be followed, and stopped one by one."""

    def check(self, trials: Sequence[Trial]) -> None:
        """Raise :class:`~orchestration.errors.ResourcesError` when a trial asks for what will never be there."""

    def run_sweep(self, run: SweepRun, runs: Runs, halt: Halt) -> dict[str, str]:
        """Start trials as the sweep says until it is finished; return signature -> reason of those given up."""
