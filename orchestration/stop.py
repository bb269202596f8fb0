"""Why a running trial should stop, and who may say so: a signal, a person, its time limit, the loss of its launcher."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import FrameType

from orchestration.attempt import Attempt, now_ms
from orchestration.durable import LineWriter
from orchestration.errors import JournalError
from orchestration.journal import TrialFolder
from orchestration.journal_records import Heartbeat
from orchestration.system_metrics import SAMPLE_SECONDS

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
    CANCELLED = "cancelled"
    PRUNED = "pruned"


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
        """Let the signals of launchers and schedulers ask the trial to stop; SIGCONT, which comes along, does not."""

        def on_signal(number: int, frame: FrameType | None) -> None:
            self.set(StopReason.SIGNAL, signal.Signals(number).name)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, on_signal)
        signal.signal(signal.SIGCONT, signal.SIG_IGN)


class Pulse(threading.Thread):
    """Writes the sign of life of an attempt, and watches over everything that should stop it.

    Args:
        folder: of the trial.
        attempt: which beats.
        stop: set when the trial should end.
        hours: how long the attempt may take.
        sample: measures the load of the machine, which is written down every few seconds.
    """

    def __init__(
        self,
        folder: TrialFolder,
        attempt: Attempt,
        stop: StopRequest,
        hours: float | None,
        sample: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        super().__init__(name="pulse", daemon=True)
        self.step = 0
        self.total = 0
        self._folder = folder
        self._attempt = attempt
        self._stop_request = stop
        self._deadline = time.monotonic() + hours * 3600 if hours else None
        self._parent = int(os.environ.pop(PARENT_VARIABLE, "0"))
        self._complained = False
        self._sample = sample
        self._samples = LineWriter(folder.system_file)
        self._ended = threading.Event()

    def run(self) -> None:
        """Beat and watch until :meth:`end`."""
        next_beat = 0.0
        next_sample = time.monotonic() + SAMPLE_SECONDS
        while True:
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + BEAT_SECONDS
                self.beat()
            if self._sample is not None and time.monotonic() >= next_sample:
                next_sample = time.monotonic() + SAMPLE_SECONDS
                self._write_sample(self._sample)
            self._watch()
            if self._ended.wait(WATCH_SECONDS):
                return

    def beat(self) -> None:
        """Write the sign of life now; a full disk is only told, because the task meets it where it can be handled.

        An attempt that was overtaken keeps silent: its beat would hide that of the one that lives.
        """
        attempt = self._attempt
        if attempt.is_overtaken():
            return
        beat = Heartbeat(now_ms() / 1000, attempt.number, attempt.host, attempt.pid, self.step, self.total)
        try:
            self._folder.beat(beat)
        except JournalError as error:
            self._complain(error)

    def end(self) -> None:
        """Stop the thread, with a last sign of life."""
        self._ended.set()
        self.join()
        self.beat()
        self._samples.close()

    def _write_sample(self, sample: Callable[[], Mapping[str, float]]) -> None:
        """Write the load down; where it cannot be measured or written, say so once and go on without."""
        try:
            values = dict(sample())
            self._samples.append({"time_ms": now_ms(), "attempt": self._attempt.number, "values": values})
        except Exception as error:  # whatever a driver or a container does not let it read must not end the trial
            logger.warning("system metrics: %s: %s; none are written any more", type(error).__name__, error)
            self._sample = None

    def _watch(self) -> None:
        if self._parent and os.getppid() != self._parent:
            self._stop_request.set(StopReason.LAUNCHER_GONE)
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._stop_request.set(StopReason.TIME_LIMIT)
        if self._attempt.is_overtaken():
            self._stop_request.set(StopReason.OVERTAKEN)
        try:
            if (wish := self._folder.wish()) is not None:
                self._stop_request.set(StopReason(wish.outcome), wish.why)
        except JournalError as error:  # a file system that hangs for a moment; the next look tells
            self._complain(error)

    def _complain(self, error: JournalError) -> None:
        if not self._complained:
            logger.warning("pulse: %s", error)
        self._complained = True
