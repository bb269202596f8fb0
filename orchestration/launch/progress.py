"""Where the trials of a launch stand, while they run; what is shown is the view of ``oneshot status --watch``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console

from orchestration.runs import Runs
from orchestration.status import board_of_trials
from orchestration.trial_description import Trial
from orchestration.watch import SUMMARY_SECONDS, LiveBoard, Shown

TICK_SECONDS = 5.0


class Progress:
    """Looks at the folders in a thread of its own; ``on_tick`` is called there as well."""

    def __init__(
        self, runs: Runs, trials: Sequence[Trial], console: Console, on_tick: Callable[[], object] | None = None
    ) -> None:
        self._board = board_of_trials(trials, runs)
        self._console = console
        self._on_tick = on_tick
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def add(self, trial: Trial) -> None:
        """Look at this trial as well."""
        self._board.add(trial)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        self._board.look()
        next_tick = time.monotonic() + TICK_SECONDS
        with LiveBoard(self._board, Shown(), self._console, stays=False, line_seconds=SUMMARY_SECONDS) as live:
            while not self._ended.wait(live.pause):
                live.look()
                if self._on_tick is not None and time.monotonic() >= next_tick:
                    self._on_tick()
                    next_tick = time.monotonic() + TICK_SECONDS
