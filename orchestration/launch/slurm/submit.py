"""Submission through submitit: the only module that imports it.

submitit writes the script, calls ``sbatch``, and calls our function inside the job. Every element of an array makes the
same call, so one pickle serves all; submitit looks for one per element, and the script links them. A pickle holds the
name of the function and one string: jobs import the code that lies in the working tree when they start.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
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
    from orchestration.launch.slurm.job import run

    flags: dict[str, Any] = sbatch_flags(array.resources, options)
    flags |= {"array": array.indices + (f"%{limit}" if limit else ""), "output": str(submission.jobs / "%A_%a.log")}
    if array.dependency:
        flags["dependency"] = array.dependency
    _submitit().core.utils.DelayedSubmission(run, str(submission.folder)).dump(submission.call)
    return submit_call(
        run,
        str(submission.folder),
        submission.jobs,
        options,
        job_name=name,
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


def submit_call(
    call: Callable[[str], None], argument: str, output: Path, options: SlurmOptions, **parameters: Any
) -> str:
    """Submit a job, or an array of them, that calls a function; return its number.

    Args:
        call: imported by its name in the job.
        argument: what it is called with.
        output: folder of what submitit and SLURM write.
        options: of the launch.
        parameters: of submitit's executor.

    Raises:
        LaunchError: submitit is not installed.
        SlurmError: SLURM refused it.
    """
    submitit = _submitit()
    # Not the automatic one: without srun it would silently run everything here.
    executor = submitit.SlurmExecutor(folder=output, python=python_of(options))
    # A time limit is among the flags, or there is none; submitit's own is 5 minutes.
    executor.update_parameters(time=None, wckey=None, stderr_to_stdout=True, **parameters)
    try:
        with _outside_of_this_job():
            return str(executor.submit(call, argument).job_id)
    except submitit.core.utils.FailedJobError as error:
        raise SlurmError(f"sbatch: {complaint(str(error))}") from error


def _submitit() -> Any:
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise LaunchError("submitit is not installed; pip install submitit, or use --launcher local or ray") from error
    return submitit


def _link_call(submission: Submission) -> str:
    there = f"{shlex.quote(str(submission.jobs))}/${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}_submitted.pkl"
    return f"ln -sf {shlex.quote(str(submission.call))} {there}"


@contextlib.contextmanager
def _outside_of_this_job() -> Iterator[None]:
    """Hide the traces of a job around this process from ``sbatch``, which would take them for options."""
    before = dict(os.environ)
    kept = outside_of_jobs(before)
    for name in before.keys() - kept.keys():
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(before)
