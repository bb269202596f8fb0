"""What the end of a process tells about an attempt when the process itself could not say it any more."""

from __future__ import annotations

import signal
from pathlib import Path

from orchestration.attempt import now_ms
from orchestration.ending import Ending, Outcome


class OutOfMemoryWatch:
    """Tells whether the kernel has killed a process for want of memory since the watch was made."""

    def __init__(self) -> None:
        self._before = _kills()

    def has_struck(self) -> bool:
        """Tell whether some process was killed; it need not be ours."""
        return _kills() > self._before


def ending_by_exit(code: int, log: Path, memory: OutOfMemoryWatch) -> Ending:
    """Return the ending of an attempt for the exit code of a process, negative for a signal, that left no word."""
    if code >= 0:
        message = f"exited with {code} without a word; see {log}"
        return Ending(Outcome.FAILED, now_ms(), message, f"exit {code}", code)
    name = signal.Signals(-code).name
    if -code == signal.SIGKILL and memory.has_struck():
        return Ending(Outcome.OOM, now_ms(), "killed by the kernel for want of memory", "", code)
    if -code in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP):
        return Ending(Outcome.LOST, now_ms(), f"ended by {name}", "", code)
    return Ending(Outcome.FAILED, now_ms(), f"crashed with {name}; see {log}", name, code)


def _kills() -> int:
    """Return how many processes the kernel has killed for want of memory since it started; 0 where it does not tell."""
    counters = Path("/proc/vmstat")
    if counters.exists():
        for line in counters.read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
