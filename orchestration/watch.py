"""Where trials stand, as people read it, once or followed: a live table on a terminal, changes as lines elsewhere."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestration.journal_records import State
from orchestration.resources import Resources
from orchestration.runs import Named
from orchestration.signature import SHOWN_DIGITS
from orchestration.status import LIVE, STATE_STYLE, Board, Change, StatusLine, counts, counts_by_experiment

LIVE_SECONDS = 0.5
LINE_SECONDS = 2.0
SUMMARY_SECONDS = 10.0
BUSY_SHARE = 0.1
"""At most this share of one core goes into looking."""

MOST_LISTED = 60
MOST_EXPERIMENTS = 6
MOST_CHANGES = 20
FEWEST_ROWS = 5
CTRL_C = b"\x03"
DISABLED = b"\0"
"""What a terminal takes for no character at all."""

COLUMNS = ("trial", "state", "step", "metric", "left", "resources", "where", "attempts", "")
LONG = {"": 0.3, "metric": 0.4, "trial": 1.0}
"""Columns that give way where the screen is narrow -> share of the room that is left; the first holds messages."""

COLUMN_GAP, SHORTEST = 2, 24


@dataclass(frozen=True)
class Shown:
    """What of the trials is shown: those in some states (none given: in any), with a metric (None: the last one)."""

    states: tuple[State, ...] = ()
    metric: str | None = None


def print_status(board: Board, shown: Shown, console: Console) -> None:
    """Print how many trials of each experiment are in which state, and the trials, the unfinished ones first."""
    rows = board.urgent_first(shown.states)
    console.print(_summary(board), "")
    console.print(_table([board.line(each, shown.metric) for each in rows[:MOST_LISTED]], console.width, wrap=True))
    if len(rows) > MOST_LISTED:
        console.print(f"... and {len(rows) - MOST_LISTED} more (--json lists all)")


def watch(board: Board, shown: Shown, console: Console) -> None:
    """Follow trials until nothing runs or waits any more, or until somebody presses q or Ctrl-C."""
    with suppress(KeyboardInterrupt):
        if not console.is_terminal:
            print_status(board, shown, console)
        with _keys() as pressed, LiveBoard(board, shown, console, stays=True) as live:
            while board.is_live() and not pressed(live.pause):
                live.look()


class LiveBoard:
    """Shows a board again and again; a context manager.

    Args:
        board: what is shown; it was looked at before.
        shown: which part of it.
        console: where.
        stays: whether the last table stays on the terminal.
        line_seconds: between looks where there is no terminal.
    """

    def __init__(
        self, board: Board, shown: Shown, console: Console, stays: bool, line_seconds: float = LINE_SECONDS
    ) -> None:
        self._usual_pause = self.pause = LIVE_SECONDS if console.is_terminal else line_seconds
        self._board = board
        self._shown = shown
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=not stays, vertical_overflow="crop")
        self._started = self._summed_up = time.monotonic()

    def __enter__(self) -> LiveBoard:
        if self._console.is_terminal:
            self._live.start()
            self._live.update(self._view(), refresh=True)
        return self

    def __exit__(self, *error: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def look(self) -> None:
        """Look at the trials and show them; afterwards ``pause`` tells how long to wait for the next look."""
        begin = time.monotonic()
        changes = self._board.look()
        if self._console.is_terminal:
            self._live.update(self._view(), refresh=True)
        else:
            self._print_lines(changes)
        self.pause = max(self._usual_pause, (time.monotonic() - begin) / BUSY_SHARE)

    def _view(self) -> RenderableType:
        summary = _summary(self._board)
        height = summary.row_count + 1 if isinstance(summary, Table) else 1
        room = max(FEWEST_ROWS, self._console.height - height - 4)
        rows = self._board.urgent_first(self._shown.states)
        table = _table(
            [self._board.line(each, self._shown.metric) for each in rows[:room]], self._console.width, wrap=False
        )
        more = [Text(f"... and {len(rows) - room} more", style="dim")] if len(rows) > room else []
        return Group(summary, Text(""), table, *more)

    def _print_lines(self, changes: Sequence[Change]) -> None:
        visible = [change for change in changes if not self._shown.states or change.after in self._shown.states]
        for change in visible[:MOST_CHANGES]:
            line = self._board.line(change.named, self._shown.metric)
            self._print(f"{_name(line)}: {change.before} -> {change.after}{_details(line)}")
        if len(visible) > MOST_CHANGES:
            self._print(f"... and {len(visible) - MOST_CHANGES} more changes")
        if time.monotonic() - self._summed_up >= SUMMARY_SECONDS:
            self._summed_up = time.monotonic()
            minutes, seconds = divmod(int(self._summed_up - self._started), 60)
            self._print(f"[{minutes:d}:{seconds:02d}] {counts(self._board.states())}{self._running()}")

    def _running(self) -> str:
        running = self._board.urgent_first([State.RUNNING])
        told = [f"{line.name}{_details(line)}" for line in map(self._line, running[:3])]
        more = f", and {len(running) - len(told)} more" if len(running) > len(told) else ""
        return f" | {'; '.join(told)}{more}" if told else ""

    def _line(self, named: Named) -> StatusLine:
        return self._board.line(named, self._shown.metric)

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)


def _summary(board: Board) -> Table | Text:
    by_experiment = counts_by_experiment(board)
    if len(by_experiment) > MOST_EXPERIMENTS:
        return Text(f"{len(by_experiment)} experiments: {counts(board.states())}")
    table = Table(box=None, pad_edge=False)
    used = [state for state in State if any(number[state] for number in by_experiment.values())]
    for head in ("experiment", *used):
        table.add_column(head, justify="left" if head == "experiment" else "right", no_wrap=True)
    for experiment, number in by_experiment.items():
        table.add_row(Text(experiment), *(str(number[state] or "") for state in used))
    return table


def _table(lines: Sequence[StatusLine], width: int, wrap: bool) -> Table:
    """Return a table of trials without the columns that say nothing of any of them.

    Args:
        lines: one per trial.
        width: of the screen; names and metrics that do not fit are cut in their middle.
        wrap: whether messages may take several rows, or are cut, too.
    """
    rows = [_cells(line) for line in lines]
    used = [k for k in range(len(COLUMNS)) if k < 2 or any(row[k] for row in rows)]
    limits = _limits(rows, used, width)
    table = Table(box=None, pad_edge=False)
    for k in used:
        number = COLUMNS[k] in ("step", "left", "attempts")
        table.add_column(COLUMNS[k], no_wrap=not (wrap and COLUMNS[k] == ""), justify="right" if number else "left")
    for line, row in zip(lines, rows, strict=True):
        styles = {1: STATE_STYLE.get(line.state, "")}
        texts = (row[k] if wrap and COLUMNS[k] == "" else _shortened(row[k], limits.get(k)) for k in used)
        table.add_row(*(Text(text, style=styles.get(k, "")) for k, text in zip(used, texts, strict=True)))
    return table


def _limits(rows: Sequence[tuple[str, ...]], used: Sequence[int], width: int) -> dict[int, int]:
    """Return column -> so many characters, for those that share what the others leave."""
    widest = {k: max(len(row[k]) for row in [COLUMNS, *rows]) for k in used}
    shares = {k: LONG[COLUMNS[k]] for k in used if COLUMNS[k] in LONG}
    room = width - sum(widest[k] for k in used if k not in shares) - COLUMN_GAP * (len(used) - 1)
    limits = {}
    for k in sorted(shares, key=lambda k: shares[k]):  # what one does not need is for the next
        limits[k] = min(widest[k], max(SHORTEST, int(room * shares[k])))
        room -= limits[k]
    return limits


def _shortened(text: str, length: int | None) -> str:
    """Return a text without its middle; names of trials differ at their ends."""
    if length is None or len(text) <= length:
        return text
    head = (length - 1) // 3
    return f"{text[:head]}…{text[head + 1 - length :]}"


def _cells(line: StatusLine) -> tuple[str, ...]:
    return (
        f"{_name(line)} {line.signature[:SHOWN_DIGITS]}",
        line.state.value,
        _steps(line),
        _metric(line),
        "" if line.eta_seconds is None else duration(line.eta_seconds),
        "" if line.resources is None or line.state not in LIVE else occupied_text(line.resources),
        " ".join(filter(None, (line.job, line.host if line.state is State.RUNNING else ""))),
        str(line.attempts or ""),
        line.message,
    )


def _name(line: StatusLine) -> str:
    return f"{line.experiment}/{line.name}"


def _steps(line: StatusLine) -> str:
    return f"{line.step}/{line.total}" if line.total else str(line.step or "")


def _metric(line: StatusLine) -> str:
    return "" if line.value is None else f"{line.metric} {line.value:.4g}"


def _details(line: StatusLine) -> str:
    left = "" if line.eta_seconds is None else f"{duration(line.eta_seconds)} left"
    told = ", ".join(filter(None, (_steps(line), _metric(line), left, line.message)))
    return f" ({told})" if told else ""


def duration(seconds: float) -> str:
    """Return a time that people grasp at once.

    >>> [duration(seconds) for seconds in (45, 725, 11_220, 187_200)]
    ['45s', '12m05s', '3h07m', '2d04h']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def occupied_text(resources: Resources) -> str:
    """Return what a trial occupies, such as ``2 x (8 cpu 1 gpu 32 GB)``."""
    parts = [f"{resources.cpus:g} cpu"]
    if resources.gpus:
        parts.append(f"{resources.gpus:g} gpu")
    if resources.memory_gb:
        parts.append(f"{resources.memory_gb:g} GB")
    text = " ".join(parts)
    return f"{resources.nodes} x ({text})" if resources.nodes > 1 else text


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Return a function that waits some seconds, and tells whether somebody pressed q or Ctrl-C meanwhile.

    On a terminal Ctrl-C is a key like any other: it is heard even where whoever started the command had its signal
    ignored, as shells do for what they start in the background.
    """
    if not sys.stdin.isatty() or os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():

        def sleep(seconds: float) -> bool:
            time.sleep(seconds)
            return False

        yield sleep
        return
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def pressed(seconds: float) -> bool:
        ready, _, _ = select.select([terminal], [], [], seconds)
        return bool(ready) and os.read(terminal, 1) in (b"q", b"Q", CTRL_C)

    try:
        tty.setcbreak(terminal)
        settings = termios.tcgetattr(terminal)
        settings[6][termios.VINTR] = DISABLED
        termios.tcsetattr(terminal, termios.TCSANOW, settings)
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
