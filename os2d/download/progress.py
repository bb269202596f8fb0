"""What a person sees while files come: a bar with bytes, speed and remaining time; plain lines without a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

Report = Callable[[int, int | None], None]
"""Takes how many bytes are done, and how many there are in all if that is known."""


class Narrator:
    """Tells on stderr what happens; stdout stays free for results.

    Args:
        console: where to; None tells nobody.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console

    def say(self, line: str) -> None:
        """Print one line."""
        if self._console is not None:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def bar(self, label: str) -> Iterator[Report]:
        """Show a bar while the block runs; without a terminal there is none, and reports cost nothing."""
        if self._console is None or not self._console.is_terminal:
            yield lambda done, total: None
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(label, total=None)
            begun = False

            def report(done: int, total: int | None) -> None:
                nonlocal begun
                if begun:
                    progress.update(task, completed=done, total=total)
                else:  # what an earlier transfer brought does not count into the speed
                    progress.reset(task, completed=done, total=total)
                begun = True

            yield report


SILENT = Narrator()
