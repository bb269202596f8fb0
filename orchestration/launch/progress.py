"""Where the trials of a launch stand, while they run: a live view on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from orchestration.journal import State, TrialFolder
from orchestration.plan import Trial
from orchestration.runs import Runs

LIVE_SECONDS = 0.5
LINE_SECONDS = 10.0
TICK_SECONDS = 5.0
MOST_SHOWN = 16
BUSY_SHARE = 0.1
"""At most this share of one core goes into looking."""

STATE_STYLE = {
    State.DONE: "green",
    State.RUNNING: "cyan",
    State.FAILED: "red",
    State.BLOCKED: "red",
    State.LOST: "yellow",
    State.CANCELLED: "yellow",
}


class Progress:
    """Looks at the folders in a thread of its own; ``on_tick`` is called there as well."""

    def __init__(
        self, runs: Runs, trials: Sequence[Trial], console: Console, on_tick: Callable[[], object] | None = None
    ) -> None:
        self._runs = runs
        self._trials = trials
        self._console = console
        self._on_tick = on_tick
        self._states = dict.fromkeys((trial.signature for trial in trials), State.PLANNED)
        self._readings = {trial.signature: _Reading(runs.folder(trial.signature)) for trial in trials}
        self._ended = threading.Event()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        interval = LIVE_SECONDS if self._console.is_terminal else LINE_SECONDS
        next_tick = time.monotonic() + TICK_SECONDS
        with ExitStack() as stack:
            live = None
            if self._console.is_terminal:
                live = stack.enter_context(Live(console=self._console, auto_refresh=False, transient=True))
            while not self._ended.wait(interval):
                begin = time.monotonic()
                self._look()
                if live is not None:
                    live.update(self._table(), refresh=True)
                else:
                    self._console.print(self._line(), soft_wrap=True, highlight=False, markup=False)
                interval = max(interval, (time.monotonic() - begin) / BUSY_SHARE)
                if self._on_tick is not None and time.monotonic() >= next_tick:
                    self._on_tick()
                    next_tick = time.monotonic() + TICK_SECONDS

    def _look(self) -> None:
        unfinished = [trial for trial in self._trials if self._states[trial.signature] is not State.DONE]
        self._states |= self._runs.states(unfinished)

    def _line(self) -> str:
        running = [f"{trial.name} {self._readings[trial.signature].read()}".strip() for trial in self._running()]
        more = f", and {len(running) - 3} more" if len(running) > 3 else ""
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"[{minutes:d}:{seconds:02d}] {counts(self._states.values())}" + (
            f" | {'; '.join(running[:3])}{more}" if running else ""
        )

    def _table(self) -> Table:
        table = Table(title=counts(self._states.values()), title_justify="left", box=None, pad_edge=False)
        for head in ("trial", "state", "step", "last metric"):
            table.add_column(head, no_wrap=True, justify="right" if head == "step" else "left")
        running = self._running()
        for trial in running[:MOST_SHOWN]:
            reading = self._readings[trial.signature]
            reading.read()
            table.add_row(f"{trial.experiment}/{trial.name}", "[cyan]running", reading.steps, reading.metric)
        if len(running) > MOST_SHOWN:
            table.add_row(f"... and {len(running) - MOST_SHOWN} more", "", "", "")
        return table

    def _running(self) -> list[Trial]:
        return [trial for trial in self._trials if self._states[trial.signature] is State.RUNNING]


@dataclass
class _Reading:
    """Step and newest metric of one trial; only what is new is read."""

    folder: TrialFolder
    steps: str = ""
    metric: str = ""
    _offset: int = 0

    def read(self) -> str:
        points, self._offset = self.folder.metrics_from(self._offset)
        if points:
            self.metric = f"{points[-1].name} {points[-1].value:.4g}"
        beat = self.folder.heartbeat()
        if beat is not None and beat.step:
            self.steps = f"{beat.step}/{beat.total}" if beat.total else f"{beat.step}"
        return f"{self.steps} {self.metric}".strip()


def counts(states: Iterable[State]) -> str:
    """Return how many trials are in which state, in words."""
    number = Counter(states)
    return ", ".join(f"{number[state]} {state}" for state in State if number[state]) or "no trials"
