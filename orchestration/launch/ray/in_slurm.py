"""A driver and a Ray cluster of its own inside one job of SLURM: submit it, and follow what it prints.

The job runs ``oneshot run`` again, with the same file and options and the address of its cluster. When SLURM ends it
before that has finished, pre-empted or at its limit, it goes back to the queue and the same command continues.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from orchestration.drivers import new_log
from orchestration.errors import ExitCode, LaunchError
from orchestration.launch.ray.job_folder import Job, Manifest
from orchestration.launch.slurm.options import SlurmOptions, sbatch_flags, set_up
from orchestration.launch.slurm.submit import submit_call
from orchestration.resources import Resources
from orchestration.slurm.command import SlurmError, slurm

LOOK_SECONDS = 1.0
ASK_SECONDS = 10.0
OVER = ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT")


@dataclass(frozen=True)
class Submitted:
    """A job in the queue."""

    job: Job
    number: str
    log: Path


def submit(command: Sequence[str], runs_root: Path, allocation: Resources, options: SlurmOptions) -> Submitted:
    """Submit a job with a Ray cluster that runs ``oneshot`` with these arguments.

    Raises:
        LaunchError: submitit is not installed, or SLURM refuses the job.
    """
    log = new_log(runs_root)
    job = Job(runs_root / ".ray-in-slurm" / log.stem)
    job.freeze(
        Manifest(
            command=list(command),
            directory=str(Path.cwd()),
            log=str(log),
            nodes=allocation.nodes,
            cpus=int(allocation.cpus),
            gpus=int(allocation.gpus),
        )
    )
    return Submitted(job, _submit(job, allocation, options), log)


def follow(submitted: Submitted, out: IO[str]) -> int:
    """Print what the driver prints until it has ended for good; return its exit code."""
    offset = 0
    next_question = time.monotonic() + ASK_SECONDS
    while True:
        code = submitted.job.exit_code()
        if code is None and time.monotonic() > next_question:
            next_question = time.monotonic() + ASK_SECONDS
            state = _state(submitted.number)
            if state in OVER and submitted.job.exit_code() is None:
                raise LaunchError(
                    f"SLURM job {submitted.number} is {state} without having finished; what it printed is in "
                    f"{submitted.job.output} and {submitted.log}. The same command continues"
                )
        offset = _print_new(submitted.log, offset, out)
        if code is not None:
            return code
        time.sleep(LOOK_SECONDS)


def _submit(job: Job, allocation: Resources, options: SlurmOptions) -> str:
    from orchestration.launch.ray.in_slurm_job import run

    return submit_call(
        run,
        str(job.folder),
        job.output,
        options,
        job_name=f"oneshot-ray-{job.folder.name}",
        setup=set_up(options),
        srun_args=["--nodes=1", "--ntasks=1", "--cpus-per-task=1", "--overlap", "--open-mode=append"],
        additional_parameters=sbatch_flags(allocation, options),
    )


def _state(number: str) -> str:
    """Return what SLURM says of a job; empty where it does not answer or has forgotten the job."""
    with suppress(SlurmError):
        for part in slurm(["scontrol", "show", "job", "-o", number]).split():
            if part.startswith("JobState="):
                return part.removeprefix("JobState=")
    return ""


def _print_new(log: Path, offset: int, out: IO[str]) -> int:
    try:
        with log.open("rb") as file:
            file.seek(offset)
            new = file.read()
    except FileNotFoundError:
        return offset
    out.write(new.decode(errors="replace"))
    out.flush()
    return offset + len(new)


def interrupted(submitted: Submitted) -> int:
    """Say that the job goes on without whoever followed it; return the exit code."""
    print(
        f"the job goes on: `oneshot status` shows its trials, `scancel {submitted.number}` ends it (log: "
        f"{submitted.log})",
        file=sys.stderr,
    )
    return ExitCode.INTERRUPTED
