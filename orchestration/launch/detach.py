"""Launch without staying: the same command in a session of its own, which no closing terminal ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orchestration
from orchestration.drivers import LOG_VARIABLE, new_log, record_of
from orchestration.errors import LaunchError

WATCH_SECONDS = 30.0
STARTED_SECONDS = 0.5
POLL_SECONDS = 0.05
SHOWN_LINES = 20


@dataclass(frozen=True)
class Detached:
    """A driver that goes on by itself."""

    pid: int
    log: Path


class DetachedEndedError(LaunchError):
    """A driver that ended at once; it has the exit code of that driver."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def detach(arguments: Sequence[str], runs_root: Path) -> Detached:
    """Start ``oneshot`` with these arguments by itself, and wait until it launches trials: a moment, as a rule.

    Raises:
        DetachedEndedError: it failed before; the message holds its last lines.
    """
    log = new_log(runs_root)
    home = str(Path(orchestration.__path__[0]).parent)
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != home]
    with log.open("xb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, LOG_VARIABLE: str(log), "PYTHONPATH": os.pathsep.join([*paths, home])},
        )
    _watch(process, record_of(log))
    code = process.poll()
    if code:
        last = "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-SHOWN_LINES:])
        raise DetachedEndedError(f"the detached launch ended at once (exit code {code}):\n{last}\n(log: {log})", code)
    return Detached(process.pid, log)


def _watch(process: subprocess.Popen[bytes], record: Path) -> None:
    """Wait until a driver has ended or has launched trials for a moment, but not for ever."""
    deadline = time.monotonic() + WATCH_SECONDS
    launches = False
    while process.poll() is None and time.monotonic() < deadline:
        if not launches and record.exists():
            launches = True
            deadline = min(deadline, time.monotonic() + STARTED_SECONDS)
        time.sleep(POLL_SECONDS)
