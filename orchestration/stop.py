"""Why a running trial should stop, and who may say so: a signal, its time limit, or the loss of its launcher."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from enum import StrEnum
from types import FrameType

from orchestration.attempt import Attempt
from orchestration.errors import JournalError
from orchestration.journal import Heartbeat, TrialFolder

logger = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
WATCH_SECONDS = 0.5
PARENT_VARIABLE = "ONESHOT_STOP_WITH_PARENT"
"""Set to the pid of the launcher: the worker stops when that process is no longer its parent."""


class StopReason(StrEnum):
    """What made a trial stop before its end."""

    SIGNAL = "signal"
    TIME_LIMIT = "time limit"
    LAUNCHER_GONE = "the launcher is gone"
    OVERTAKEN = "another worker took over"


class StopRequest:
    """Set once, by a signal handler or the watching thread; read by the task at every step."""

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self.detail = ""

    def set(self, reason: StopReason, detail: str = "") -> None:
        """Ask the trial to stop; the first reason stands."""
        if self.reason is None:
            self.detail = detail
            self.reason = reason

    def listen(self) -> None:
        """Let SIGTERM, SIGINT and SIGUSR2 ask the trial to stop."""

        def on_signal(number: int, frame: FrameType | None) -> None:
            self.set(StopReason.SIGNAL, signal.Signals(number).name)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
            signal.signal(number, on_signal)


class Pulse(threading.Thread):
    """Writes the sign of life of an attempt, and watches over everything that should stop it."""

    def __init__(self, folder: TrialFolder, attempt: Attempt, stop: StopRequest, hours: float | None) -> None:
        super().__init__(name="pulse", daemon=True)
        self.step = 0
        self.total = 0
        self._folder = folder
        self._attempt = attempt
        self._successor = attempt.folder.with_name(str(attempt.number + 1)) / "claim.json"
        self._stop_request = stop
        self._deadline = time.monotonic() + hours * 3600 if hours else None
        self._parent = int(os.environ.pop(PARENT_VARIABLE, "0"))
        self._time = 0.0
        self._complained = False
        self._ended = threading.Event()

    def run(self) -> None:
        """Beat and watch until :meth:`end`."""
        next_beat = 0.0
        while True:
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + BEAT_SECONDS
                self.beat()
            self._watch()
            if self._ended.wait(WATCH_SECONDS):
                return

    def beat(self) -> None:
        """Write the sign of life now; a full disk is only told, because the task meets it where it can be handled."""
        self._time = max(self._time, time.time())
        attempt = self._attempt
        beat = Heartbeat(self._time, attempt.number, attempt.host, attempt.pid, self.step, self.total)
        try:
            self._folder.beat(beat)
        except JournalError as error:
            if not self._complained:
                logger.warning("heartbeat: %s", error)
            self._complained = True

    def end(self) -> None:
        """Stop the thread, with a last sign of life."""
        self._ended.set()
        self.join()
        self.beat()

    def _watch(self) -> None:
        if self._parent and os.getppid() != self._parent:
            self._stop_request.set(StopReason.LAUNCHER_GONE)
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._stop_request.set(StopReason.TIME_LIMIT)
        if self._successor.exists():
            self._stop_request.set(StopReason.OVERTAKEN)
