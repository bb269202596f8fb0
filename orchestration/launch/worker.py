"""One worker process: its start, its end, and what follows from the end."""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType

import orchestration
from orchestration.attempt import Attempt, now_ms
from orchestration.ending import Ending, Outcome
from orchestration.errors import ExitCode, JournalError
from orchestration.exit_status import OutOfMemoryWatch, ending_by_exit
from orchestration.journal import TrialFolder
from orchestration.resources import Resources
from orchestration.retry import judge
from orchestration.stop import PARENT_VARIABLE

logger = logging.getLogger(__name__)

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
STOP_SECONDS = 50.0
"""How long a worker that was asked to stop may take to save."""

MOST_STARTS = 50
"""Workers started for one trial in one launch, whatever happens: the budgets end it long before."""


class Next(Enum):
    """What follows the end of a worker."""

    DONE = "done"
    AGAIN = "again"
    ELSEWHERE = "elsewhere"  # a live worker of somebody else holds the trial
    GIVE_UP = "give up"


@dataclass(frozen=True)
class Step:
    """What follows, after which pause, and why."""

    next: Next
    pause_seconds: float = 0.0
    reason: str = ""


class Worker:
    """A running ``python -m orchestration.trial <folder>``.

    Args:
        folder: of the trial.
        resources: what the trial may occupy; several processes on this node are the worker's children.
        gpus: its ``CUDA_VISIBLE_DEVICES``.
        cwd: where it runs.
        node: what :func:`~orchestration.distributed.node.node_environment` returns, when there are several nodes.
        through: a command that runs the worker, on other machines perhaps: ``("srun", ...)``.
    """

    def __init__(
        self,
        folder: TrialFolder,
        resources: Resources,
        gpus: str,
        cwd: Path | None = None,
        node: Mapping[str, str] = MappingProxyType({}),
        through: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self._memory = OutOfMemoryWatch()
        self._is_child = not through
        last = folder.last_attempt()
        self._seen = last.number if last else 0
        environment = {**worker_environment(resources, gpus, os.environ), **node}
        if through:
            del environment[PARENT_VARIABLE]  # its parent is somebody else, who ends it when we end
        # A file and not a pipe: children of the worker may keep it open after the worker's end.
        with tempfile.TemporaryFile() as complaints:
            self._complaints = os.fdopen(os.dup(complaints.fileno()), "rb")
            self._process = subprocess.Popen(
                [*through, *worker_command(folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                cwd=cwd,
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal is for the launcher, which then asks the workers
            )

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def has_ended(self) -> bool:
        """Tell whether the process is gone."""
        return self._process.poll() is not None

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until the process is gone."""
        if self._process.returncode is not None:
            return
        if not hasattr(os, "pidfd_open"):
            time.sleep(seconds)
            return
        with os.fdopen(os.pidfd_open(self._process.pid), closefd=True) as process:
            end = select.poll()
            end.register(process, select.POLLIN)
            end.poll(seconds * 1000)

    def ask_to_stop(self) -> None:
        """Ask the worker to save and exit with 75."""
        # srun ends what it runs at SIGTERM, and passes SIGUSR2 on.
        self._process.send_signal(signal.SIGTERM if self._is_child else signal.SIGUSR2)

    def kill(self) -> None:
        """End the worker and its children without mercy."""
        if not self.has_ended():
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def conclude(self, attempts_before: int) -> Step:
        """Record the end of a worker that has ended and could not do it itself; return what follows.

        Args:
            attempts_before: number of the last attempt before this launch.
        """
        code = self._process.wait()
        self._complaints.seek(0)
        complaint = self._complaints.read().decode(errors="replace").strip()
        self._complaints.close()
        if self.folder.is_done():
            return Step(Next.DONE)
        last = self.folder.last_attempt()
        if last is not None and not self._claimed(last) and last.is_live():
            return Step(Next.ELSEWHERE)
        if last is None or not self._claimed(last):
            return self._ended_before_its_claim(code, complaint)
        if last.ending is None:
            self._record(last, code, complaint)
        if code == ExitCode.FOLDER:
            return Step(Next.GIVE_UP, reason=complaint)
        verdict = judge([attempt for attempt in self.folder.attempts() if attempt.number > attempts_before])
        if verdict.pause_seconds is None:
            return Step(Next.GIVE_UP, reason=verdict.reason)
        return Step(Next.AGAIN, verdict.pause_seconds)

    def _claimed(self, attempt: Attempt) -> bool:
        """Tell whether this worker made an attempt; one on another machine is known by having come after the start."""
        return attempt.pid == self.pid if self._is_child else attempt.number > self._seen

    def _ended_before_its_claim(self, code: int, complaint: str) -> Step:
        if code in (ExitCode.DONE, ExitCode.RESUME_ME):  # refused, or overtaken, by somebody who has ended since
            return Step(Next.AGAIN)
        if code < 0:
            return Step(Next.AGAIN, pause_seconds=1.0)
        return Step(Next.GIVE_UP, reason=complaint.removeprefix("error: ") or f"the worker exited with {code}")

    def _record(self, attempt: Attempt, code: int, complaint: str) -> None:
        """Write down how an attempt ended that could not say so itself."""
        if code != ExitCode.FOLDER:
            attempt.close(self._ending(attempt, code))
            return
        try:
            message = complaint.removeprefix("error: ")
            attempt.close(Ending(Outcome.FAILED, now_ms(), message, "", code, can_retry=False))
        except JournalError as error:  # the folder still cannot be written: the next attempt records this one as lost
            logger.warning("%s", error)

    def _ending(self, attempt: Attempt, code: int) -> Ending:
        wish = self.folder.wish()
        if wish is not None:
            return Ending(wish.outcome, now_ms(), f"{wish.outcome} without saving: {wish.why}", "", code)
        return ending_by_exit(code, attempt.stderr, self._memory)


def worker_command(folder: TrialFolder) -> list[str]:
    """Return the command that runs a trial, the same for all back ends."""
    return [sys.executable, "-m", "orchestration.trial", str(folder.path)]


def worker_environment(resources: Resources, gpus: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker: as many threads as cores, its cards, and its launcher to look after."""
    threads = str(max(1, int(resources.cpus / resources.processes_per_node)))
    package_home = str(Path(orchestration.__path__[0]).parent)
    paths = [path for path in inherited.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {
        **inherited,
        **dict.fromkeys(THREAD_VARIABLES, threads),
        "CUDA_VISIBLE_DEVICES": gpus,
        "PYTHONPATH": os.pathsep.join([*paths, *([] if package_home in paths else [package_home])]),
        PARENT_VARIABLE: str(os.getpid()),
    }
