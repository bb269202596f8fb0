"""Who works on a trial: exactly one process, and a way to tell that it is gone.

The attempts of a trial are numbered, and to claim the trial is to create the claim file of the next number, which only
one process can. A claim is given up by writing the outcome of its attempt. A claim whose owner died is overtaken by
claiming the next number; nothing is ever deleted or renamed, so racing workers cannot step on each other.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestration.slurm.current_job import current_job, restarts

STALE_SECONDS = 60.0
"""A worker on another host that showed no sign of life for so long is taken for dead; it beats every 2 s."""


@dataclass(frozen=True)
class Owner:
    """A process, told apart from a later one with the same number.

    Args:
        host: where it runs.
        pid: its number there.
        pid_start: clock ticks from boot to its start; with the boot's id.
        namespace: the pid namespace: containers of one host do not see each other's processes.
        job: of SLURM around it, see :data:`JOB_PREFIX`; empty outside of jobs.
        restarts: how often SLURM had put that job back into its queue.
    """

    host: str
    pid: int
    pid_start: str
    namespace: str
    job: str = ""
    restarts: int = 0

    @classmethod
    def this_process(cls) -> Owner:
        """Return the process that asks."""
        pid = os.getpid()
        start = process_start(pid) or ""
        return cls(socket.gethostname(), pid, start, _namespace(), current_job(), restarts())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Owner:
        """Return the owner that a claim names."""
        return cls(**values)

    def is_alive(self) -> bool | None:
        """Tell whether the process lives; None when it cannot be seen from here."""
        if self.host != socket.gethostname() or self.namespace != _namespace():
            return None
        return process_start(self.pid) == self.pid_start

    def was_requeued(self) -> bool:
        """Tell whether this process runs in a later start of the owner's job: SLURM has ended the earlier one."""
        return bool(self.job) and self.job == current_job() and self.restarts < restarts()

    def has_running_job(self) -> bool:
        """Tell whether the owner's job runs, where SLURM can be asked; when it does not answer, the job may."""
        if not self.job:
            return False
        from orchestration.slurm.command import SlurmError  # runs commands: only for an owner that has gone silent
        from orchestration.slurm.queue import snapshot

        try:
            known = snapshot().get(self.job)
        except SlurmError:
            return True
        return known is not None and known.state == "RUNNING"


def process_start(pid: int) -> str | None:
    """Return a text that no other process with this number has, or None when there is no such process.

    A zombie, dead but not yet waited for by its parent, counts as gone.
    """
    stat = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        return _process_start_elsewhere(pid)
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, start_ticks = fields[0], fields[19]
    return None if state in "ZX" else f"{_boot_id()}:{start_ticks}"


def silent_for(beat: Mapping[str, Any] | None, path: Path, now: float | None = None) -> float:
    """Return the seconds since the last sign of life: the heartbeat's time, or the file's when that is nearer.

    A sign far in the future is as old as one equally far in the past: a clock was set back since, or runs ahead.
    """
    times: list[float] = [beat["time"]] if beat else []
    try:
        times.append(path.stat().st_mtime)
    except FileNotFoundError:
        if not times:
            return float("inf")
    return min(abs((time.time() if now is None else now) - sign) for sign in times)


def _process_start_elsewhere(pid: int) -> str | None:
    import psutil  # only where there is no /proc

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.NoSuchProcess:
        return None


@lru_cache(maxsize=1)
def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


@lru_cache(maxsize=1)
def _namespace() -> str:
    path = Path("/proc/self/ns/pid")
    return str(path.readlink()) if path.is_symlink() else ""
