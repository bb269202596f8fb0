"""Trials as jobs of a SLURM cluster: arrays that are submitted once, requeued by SLURM, and followed by their folders.

The jobs go on without the process that submitted them. As long as that stays, it submits again what was lost without
SLURM requeueing it, and says why a trial was given up.
"""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from orchestration.distributed.node import RENDEZVOUS_VARIABLE
from orchestration.errors import ExitCode
from orchestration.launch import Halt
from orchestration.launch.slurm.following import Following
from orchestration.launch.slurm.limits import require_possible
from orchestration.launch.slurm.options import SlurmOptions, as_line, python_of, sbatch_flags, set_up
from orchestration.launch.worker import THREAD_VARIABLES, worker_environment
from orchestration.resources import Resources
from orchestration.runs import Runs
from orchestration.slurm.command import SlurmError, require_commands, slurm
from orchestration.slurm.current_job import JOB_PREFIX
from orchestration.slurm.queue import forget_snapshot
from orchestration.trial_description import Trial

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 1800.0
"""How long a controller may be away before a launch ends with an error; its jobs stay."""
JOBS_PER_CALL = 500


class SlurmLauncher:
    """Runs trials as jobs of the SLURM cluster that this machine submits to.

    Args:
        options: what all jobs ask for.
    """

    outlives_driver = True

    def __init__(self, options: SlurmOptions | None = None) -> None:
        self._options = options or SlurmOptions()
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


def cancel_jobs(jobs: Iterable[str]) -> None:
    """End jobs, waiting or running; those that have ended already are no error.

    Args:
        jobs: as requests name them, ``slurm:12_3``; others are left alone.

    Raises:
        SlurmError: SLURM does not answer.
    """
    numbers = sorted({job.removeprefix(JOB_PREFIX) for job in jobs if job.startswith(JOB_PREFIX)})
    for start in range(0, len(numbers), JOBS_PER_CALL):
        slurm(["scancel", "--quiet", *numbers[start : start + JOBS_PER_CALL]])
    forget_snapshot()


def script_text(trial: Trial, folder: Path, options: SlurmOptions | None = None) -> str:
    """Return a script for ``sbatch`` that runs one trial by itself, without this launcher.

    Args:
        trial: whose resources it asks for.
        folder: of the trial; it must exist when the job starts, and what the trial needs must be done.
        options: what the launch asks for besides.
    """
    options = options or SlurmOptions()
    resources = options.resources_of(trial.resources)
    flags = {"job-name": trial.experiment, **sbatch_flags(resources, options)}
    flags["output"] = str(folder / "slurm-%j.log")
    srun = ["srun", f"--cpus-per-task={flags['cpus-per-task']}", "--kill-on-bad-exit=1"]
    environment = worker_environment(resources, "", {})
    command = f"{shlex.join(srun)} {python_of(options)} -m orchestration.trial {shlex.quote(str(folder))}"
    return "\n".join(
        [
            "#!/bin/bash",
            f"# {trial.experiment}/{trial.name}",
            *(as_line(name, value) for name, value in sorted(flags.items())),
            "",
            *set_up(options),
            *(f"export {name}={environment[name]}" for name in THREAD_VARIABLES),
            f"cd {shlex.quote(str(Path.cwd()))}",
            *_meeting_place(resources, python_of(options)),
            command,
            "code=$?",
            f'[ "$code" != {ExitCode.RESUME_ME:d} ] || scontrol requeue "$SLURM_JOB_ID"',
            'exit "$code"',
            "",
        ]
    )


def _meeting_place(resources: Resources, python: str) -> list[str]:
    if resources.nodes == 1:
        return []
    program = "from orchestration.distributed.node import rendezvous_here; print(rendezvous_here())"
    return [f'export {RENDEZVOUS_VARIABLE}="$({python} -c {shlex.quote(program)})"']
