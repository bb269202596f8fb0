"""Trials as jobs of a SLURM cluster: arrays that are submitted once, requeued by SLURM, and followed by their folders.

The jobs go on without the process that submitted them. As long as that stays, it submits again what was lost without
SLURM requeueing it, and says why a trial was given up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from orchestration.launch import Halt
from orchestration.launch.slurm.following import Following
from orchestration.launch.slurm.limits import require_possible
from orchestration.launch.slurm.options import SlurmOptions
from orchestration.runs import Runs
from orchestration.slurm.command import SlurmError, require_commands
from orchestration.trial_description import Trial

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 1800.0
"""How long a controller may be away before a launch ends with an error; its jobs stay."""


class SlurmLauncher:
    """Runs trials as jobs of the SLURM cluster that this machine submits to.

    Args:
        options: what all jobs ask for.
    """

    outlives_driver = True

    def __init__(self, options: SlurmOptions) -> None:
        self._options = options
        self._checked: set[str] = set()

    def check(self, trials: Sequence[Trial]) -> None:
        """Refuse trials that this cluster can never run."""
        require_commands()
        unchecked = [trial for trial in trials if trial.signature not in self._checked]
        require_possible(unchecked, self._options)
        self._checked |= {trial.signature for trial in unchecked}

    def submit(self, trials: Sequence[Trial], runs: Runs) -> dict[str, str]:
        """Give every trial a job that has none; return signature -> job of all that are not done.

        The folders exist and are asked for, as :meth:`run` expects it.
        """
        following = Following(trials, runs, self._options)
        following.submit()
        return dict(following.jobs)

    def run(self, trials: Sequence[Trial], runs: Runs, halt: Halt) -> dict[str, str]:
        """Submit the trials and follow them to their ends; after a halt the jobs stay."""
        following = Following(trials, runs, self._options)
        if not halt.asked:
            following.submit()
        answered = time.monotonic()
        while not following.is_over() and not halt.asked:
            halt.wait(LOOK_SECONDS)
            try:
                following.look()
                answered = time.monotonic()
            except SlurmError as error:  # the jobs go on without the controller, which may come back
                if time.monotonic() - answered > PATIENCE_SECONDS:
                    raise
                logger.warning("%s; trying again", error)
        return following.given_up
