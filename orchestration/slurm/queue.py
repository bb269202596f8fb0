"""Jobs in SLURM's queue: one call says of all those that wait or run, one how others ended, one cancels some.

Jobs are named as everywhere here: :data:`~orchestration.slurm.current_job.JOB_PREFIX` says how.
"""

from __future__ import annotations

import getpass
import re
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestration.ending import Outcome
from orchestration.slurm.command import SlurmError, slurm
from orchestration.slurm.current_job import JOB_PREFIX

CACHE_SECONDS = 10.0
JOBS_PER_CALL = 500
NEVER_SATISFIED = "DependencyNeverSatisfied"
"""Why SLURM itself cancels a job: what it waited for ended badly."""
_WAITING_ARRAY = re.compile(r"(\d+)_\[([\d,\-]+)(?:%\d+)?\]")

ENDINGS = {
    "NODE_FAIL": Outcome.NODE_FAIL,
    "BOOT_FAIL": Outcome.NODE_FAIL,
    "OUT_OF_MEMORY": Outcome.OOM,
    "TIMEOUT": Outcome.TIMEOUT,
    "DEADLINE": Outcome.TIMEOUT,
    "PREEMPTED": Outcome.PREEMPTED,
    "CANCELLED": Outcome.CANCELLED,
}
"""How a job ended, as SLURM says it -> what that means for the attempt in it; anything else is lost."""


@dataclass(frozen=True)
class JobState:
    """What SLURM says of a job.

    Args:
        state: PENDING, RUNNING, COMPLETED, FAILED, ...
        reason: why it waits, or ended so; empty when SLURM gives none.
        restarts: how often it was requeued.
        name: of the job.
    """

    state: str
    reason: str = ""
    restarts: int = 0
    name: str = ""


_lock = threading.Lock()
_cache: tuple[float, dict[str, JobState]] | None = None


def snapshot(max_age_seconds: float = CACHE_SECONDS) -> dict[str, JobState]:
    """Return job -> state of this user's jobs that wait or run; a recent answer is used again.

    Empty where there is no SLURM.

    Raises:
        SlurmError: the controller does not answer.
    """
    global _cache
    if shutil.which("squeue") is None:
        return {}
    with _lock:
        if _cache is None or time.monotonic() - _cache[0] > max_age_seconds:
            _cache = (time.monotonic(), _queue())
        return _cache[1]


def forget_snapshot() -> None:
    """Let the next snapshot ask again: jobs were submitted or cancelled."""
    global _cache
    with _lock:
        _cache = None


def cancel_jobs(jobs: Iterable[str]) -> None:
    """End jobs, waiting or running; those that have ended already are no error.

    Args:
        jobs: as requests name them, ``slurm:12_3``; others are left alone.

    Raises:
        SlurmError: SLURM does not answer.
    """
    numbers = sorted({job.removeprefix(JOB_PREFIX) for job in jobs if job.startswith(JOB_PREFIX)})
    for some in _batches(numbers):
        slurm(["scancel", "--quiet", *some])
    forget_snapshot()


def endings(jobs: Iterable[str]) -> dict[str, JobState]:
    """Return job -> how it ended, of those that SLURM still knows: through accounting, or what the controller recalls.

    Works without accounting, and without ``sacct``: then only of jobs that ended within the last minutes.
    """
    numbers = sorted({job.removeprefix(JOB_PREFIX) for job in jobs})
    if not numbers:
        return {}
    found = _recalled(numbers) | _accounted(numbers)
    wanted = {JOB_PREFIX + number for number in numbers}
    return {job: state for job, state in found.items() if job in wanted}


def _queue() -> dict[str, JobState]:
    listing = slurm(["squeue", "-h", "-r", "-u", getpass.getuser(), "-o", "%i|%T|%r|%j"])
    return dict(_read(listing))


def _recalled(numbers: list[str]) -> dict[str, JobState]:
    """Return what the controller remembers of jobs that ended a moment ago (MinJobAge)."""
    arrays = sorted({number.partition("_")[0] for number in numbers})
    found: dict[str, JobState] = {}
    for some in _batches(arrays):
        try:
            listing = slurm(["squeue", "-h", "-r", "-t", "all", "-j", ",".join(some), "-o", "%i|%T|%r|%j"])
        except SlurmError as error:
            if "Invalid job id" not in str(error):
                raise
            continue  # forgotten already
        found |= dict(_read(listing))
    return found


def _accounted(numbers: list[str]) -> dict[str, JobState]:
    """Return how jobs ended by the books, the last of their tries; nothing where no books are kept."""
    if shutil.which("sacct") is None:
        return {}
    found: dict[str, JobState] = {}
    for some in _batches(numbers):
        command = ["sacct", "-X", "-P", "-D", "-n", "-j", ",".join(some), "-o", "JobID,State,Reason,JobName"]
        try:
            listing = slurm(command)
        except SlurmError:  # "Slurm accounting storage is disabled": then the folders and the controller must do
            return {}
        for job, state in _read(listing):
            before = found.get(job)
            found[job] = JobState(state.state, state.reason, before.restarts + 1 if before else 0, state.name)
    return found


def _read(listing: str) -> Iterator[tuple[str, JobState]]:
    for line in listing.splitlines():
        number, state, reason, name = line.split("|", 3)
        state, _, by = state.partition(" ")  # "CANCELLED by 0"
        if state == "CANCELLED" and reason == "Dependency" and not by:  # as sacct says it
            reason = NEVER_SATISFIED
        what = JobState(state, "" if reason == "None" else reason, name=name)
        for one in _elements(number):
            yield JOB_PREFIX + one, what


def _elements(number: str) -> Iterator[str]:
    """Yield the elements of an array that never started, ``12_[3-5,8%2]`` for sacct, or the job itself."""
    together = _WAITING_ARRAY.fullmatch(number)
    if together is None:
        yield number
        return
    for part in together.group(2).split(","):
        first, _, last = part.partition("-")
        for index in range(int(first), int(last or first) + 1):
            yield f"{together.group(1)}_{index}"


def _batches(items: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(items), JOBS_PER_CALL):
        yield items[start : start + JOBS_PER_CALL]
