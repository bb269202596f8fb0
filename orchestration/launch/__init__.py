"""Start the trials of a plan somewhere and stay until they have ended.

``driver`` prepares the folders, shows progress and sums up; a launcher (``local``, ``ray``, ``slurm``) starts workers.
What a launcher must do is in :class:`Launcher`; where trials stand is read from their folders, never from the launcher.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from orchestration.runs import Runs
from orchestration.trial_description import Trial


class Halt:
    """The request to stop whoever starts workers: once asks these to save, twice does not wait for them."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._forced = threading.Event()

    def ask(self) -> None:
        """Ask to stop; asking again forces."""
        if self._asked.is_set():
            self._forced.set()
        self._asked.set()

    @property
    def asked(self) -> bool:
        """Tell whether workers should save and stop."""
        return self._asked.is_set()

    @property
    def forced(self) -> bool:
        """Tell whether workers should be killed."""
        return self._forced.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until somebody asks to stop."""
        self._asked.wait(seconds)


class Launcher(Protocol):
    """A place where workers run.

    ``outlives_driver`` tells that trials go on without the process that launched them, as the jobs of a cluster do.
    """

    outlives_driver: bool

    def check(self, trials: Sequence[Trial]) -> None:
        """Raise :class:`~orchestration.errors.ResourcesError` when a trial asks for what will never be there."""

    def run(self, trials: Sequence[Trial], runs: Runs, halt: Halt) -> dict[str, str]:
        """Run trials, given in dependency order, until each is done, given up or blocked, or until a halt.

        Returns signature -> reason of those given up.

        The folders exist. Trials that a live worker elsewhere holds are waited for. One that somebody wishes to end,
        ``folder.cancel_wish()``, is not started.
        """


@runtime_checkable
class JobLauncher(Launcher, Protocol):
    """A place that keeps jobs in a queue of its own, whoever submitted them."""

    def submit(self, trials: Sequence[Trial], runs: Runs) -> dict[str, str]:
        """Give a job to every trial that has none, as :meth:`run` does before it waits; return signature -> job."""
