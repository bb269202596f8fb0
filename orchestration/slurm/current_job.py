"""The job of SLURM around this process."""

from __future__ import annotations

import os
from collections.abc import Mapping

JOB_PREFIX = "slurm:"
"""What a job is named with: ``slurm:<array job>_<element>``, or ``slurm:<job>`` for one that is no array."""


def current_job(environment: Mapping[str, str] = os.environ) -> str:
    """Return the SLURM job around this process; empty outside of jobs.

    The elements of an array are told apart by their index: the number of one of them is that of the whole array.
    """
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    if array and task:
        return f"{JOB_PREFIX}{array}_{task}"
    number = environment.get("SLURM_JOB_ID")
    return f"{JOB_PREFIX}{number}" if number else ""


def restarts() -> int:
    """Return how often SLURM had put that job back into its queue."""
    return int(os.environ.get("SLURM_RESTART_COUNT", "0"))
