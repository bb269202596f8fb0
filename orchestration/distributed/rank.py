"""One of the processes that compute a trial: ``python -m orchestration.distributed.rank <folder of the attempt>``.

A supervisor starts it through torch's launcher and ends when it does; it dies at once with its supervisor.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from orchestration.attempt import Attempt, now_ms
from orchestration.claim import Owner
from orchestration.distributed.meeting import Meeting, Report
from orchestration.distributed.run import FollowerRun
from orchestration.distributed.team import Team
from orchestration.ending import Outcome
from orchestration.errors import ExitCode, LaunchError
from orchestration.journal import TrialFolder
from orchestration.stop import PARENT_VARIABLE, StopRequest
from orchestration.task_run import redirect_output, run_task
from orchestration.trial_run import TrialRun

RELAY_SECONDS = 0.5
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>


def main() -> int:
    """Run the task in one process; the exit code is 0 also for an orderly stop."""
    supervisor = int(os.environ.pop(PARENT_VARIABLE))
    _die_with(supervisor)
    _leave_signals_to_the_supervisor()
    folder = TrialFolder(Path(sys.argv[1]).parents[1])
    attempt = Attempt(int(Path(sys.argv[1]).name), Path(sys.argv[1]), Owner.this_process(), now_ms())
    stop = StopRequest()
    team = Team.from_environment(stop)
    redirect_output(attempt, team.rank)
    trial = folder.trial_to_run()
    relay = Relay(Meeting.join(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])), supervisor, team.rank)
    relay.start()
    kind = TrialRun if team.rank == 0 else FollowerRun
    run = kind(folder, trial, attempt, relay, stop, team)
    try:
        ending = run_task(folder, trial, attempt, run, stop)
    finally:
        run.close()
    relay.end(Report(team.rank, ending))
    return ExitCode.FAILED if ending.outcome in (Outcome.FAILED, Outcome.OOM) else ExitCode.DONE


class Relay(threading.Thread):
    """Passes on the progress of the first process, and ends any process whose supervisor is gone."""

    def __init__(self, meeting: Meeting, supervisor: int, rank: int) -> None:
        super().__init__(name="relay", daemon=True)
        self.step = 0
        self.total = 0
        self._told = (0, 0)
        self._meeting = meeting
        self._supervisor = supervisor
        self._rank = rank
        self._ended = threading.Event()

    def run(self) -> None:
        """Relay until :meth:`end`."""
        while not self._ended.wait(RELAY_SECONDS):
            if os.getppid() != self._supervisor:
                os._exit(ExitCode.RESUME_ME)
            try:
                self._tell_progress()
            except LaunchError:  # the first node is gone, and with it the attempt
                os._exit(ExitCode.RESUME_ME)

    def end(self, report: Report) -> None:
        """Stop the thread with the last news: how far the task came, and how the process ends."""
        self._ended.set()
        self.join()
        self._tell_progress()
        self._meeting.report(report)

    def _tell_progress(self) -> None:
        if self._rank == 0 and self._told != (self.step, self.total):
            self._told = (self.step, self.total)
            self._meeting.tell_progress(*self._told)


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies, so that nobody writes besides the next attempt."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        os._exit(ExitCode.RESUME_ME)


def _leave_signals_to_the_supervisor() -> None:
    """Survive what a scheduler sends to all processes: the supervisor hears it, too, and lets them stop together."""

    def ignore(number: int, frame: FrameType | None) -> None:  # a function: children must not inherit SIG_IGN
        pass

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT):
        signal.signal(number, ignore)


if __name__ == "__main__":
    sys.exit(main())
