"""Submission through submitit: the only module that imports it.

submitit writes the script, calls ``sbatch``, and calls our function inside the job. Every element of an array makes the
same call, so one pickle serves all; submitit looks for one per element, and the script links them. A pickle holds the
name of the function and one string: jobs import the code that lies in the working tree when they start.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator
from typing import Any

from orchestration.errors import LaunchError
from orchestration.launch.slurm.arrays import Array
from orchestration.launch.slurm.options import SlurmOptions, python_of, sbatch_flags, set_up
from orchestration.launch.slurm.submission import Submission
from orchestration.slurm.command import SlurmError, complaint, outside_of_jobs


def submit(submission: Submission, name: str, array: Array, limit: int | None, options: SlurmOptions) -> str:
    """Submit an array whose manifest is frozen; return its number.

    Raises:
        SlurmError: SLURM refused it.
    """
    executor = _executor(submission, options)
    from submitit.core.utils import DelayedSubmission, FailedJobError

    from orchestration.launch.slurm.job import run

    flags: dict[str, Any] = sbatch_flags(array.resources, options)
    flags |= {"array": array.indices + (f"%{limit}" if limit else ""), "output": str(submission.jobs / "%A_%a.log")}
    if array.dependency:
        flags["dependency"] = array.dependency
    executor.update_parameters(
        job_name=name,
        time=None,  # 5 minutes unless said; ours is among the flags
        wckey=None,
        stderr_to_stdout=True,
        setup=[*set_up(options), _link_call(submission)],
        # srun does not take over the cores per task of the job, nor its way to open files.
        srun_args=[
            "--nodes=1",  # of a trial over several, the job starts the others itself
            "--ntasks=1",
            f"--cpus-per-task={flags['cpus-per-task']}",
            f"--output={submission.jobs / '%A_%a.log'}",
            "--open-mode=append",
            "--kill-on-bad-exit=1",
        ],
        additional_parameters=flags,
    )
    DelayedSubmission(run, str(submission.folder)).dump(submission.call)
    try:
        with outside_of_this_job():
            return str(executor.submit(run, str(submission.folder)).job_id)
    except FailedJobError as error:
        raise SlurmError(f"sbatch: {complaint(str(error))}") from error


def _executor(submission: Submission, options: SlurmOptions) -> Any:
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise LaunchError("submitit is not installed; pip install submitit, or use --launcher local or ray") from error
    # Not the automatic one: without srun it would silently run everything here.
    return submitit.SlurmExecutor(folder=submission.jobs, python=python_of(options))


def _link_call(submission: Submission) -> str:
    there = f"{shlex.quote(str(submission.jobs))}/${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}_submitted.pkl"
    return f"ln -sf {shlex.quote(str(submission.call))} {there}"


@contextlib.contextmanager
def outside_of_this_job() -> Iterator[None]:
    """Hide the traces of a job around this process from ``sbatch``, which would take them for options."""
    before = dict(os.environ)
    kept = outside_of_jobs(before)
    for name in before.keys() - kept.keys():
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(before)
