"""Runs that are asked to stop soon after they start, and work that is done although all of them are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from os2d.console import ConsoleRun, RunInterruptedError

Ended = TypeVar("Ended")


class Impatient:
    """To put before the class of a run: asks it to stop after so many questions whether it should."""

    patience = 2
    asked = 0

    @property
    def should_stop(self) -> bool:
        """Return whether the patience is over."""
        self.asked += 1
        return self.asked > self.patience

    @should_stop.setter
    def should_stop(self, value: bool) -> None:
        """Ignore what the run itself says."""


class ImpatientRun(Impatient, ConsoleRun):
    """A run as of a script that is asked to stop soon after it starts."""


def interrupted_again_and_again(attempt: Callable[[int], Ended], most: int = 100) -> tuple[Ended, int]:
    """Return what the first attempt returns that ends by itself, and how many before it were interrupted.

    Args:
        attempt: is told how many were interrupted before it.
        most: so many interruptions mean that the work never ends.
    """
    for interruptions in range(most):
        try:
            return attempt(interruptions), interruptions
        except RunInterruptedError:
            continue
    raise AssertionError(f"interrupted {most} times, and not done yet")
