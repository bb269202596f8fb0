"""What a trial printed, at once or as it comes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TextIO

from orchestration.attempt import Attempt
from orchestration.errors import DescriptionError
from orchestration.journal import State, TrialFolder

POLL_SECONDS = 0.3


def print_logs(folder: TrialFolder, number: int | None, out: TextIO) -> None:
    """Print stdout and stderr of an attempt, the last one when no number is given."""
    attempts = folder.attempts()
    chosen = [attempt for attempt in attempts if number in (None, attempt.number)]
    if not chosen:
        wanted = "no attempt yet" if number is None else f"no attempt {number}; there are {len(attempts)}"
        raise DescriptionError(f"{folder.trial.experiment}/{folder.trial.name}: {wanted}")
    _Tail(chosen[-1]).print_new(out)


def follow_logs(folder: TrialFolder, out: TextIO) -> None:
    """Print what the trial prints until it has ended, over several attempts."""
    tail: _Tail | None = None
    while True:
        state = folder.state()  # before the logs, so that the last words of a trial that ends now are printed
        last = folder.last_attempt()
        if last is not None and (tail is None or tail.attempt.number != last.number):
            tail = _Tail(last)
        if tail is not None:
            tail.print_new(out)
        if state not in (State.RUNNING, State.QUEUED, State.PLANNED, State.LOST):
            return
        time.sleep(POLL_SECONDS)


class _Tail:
    """The two logs of one attempt, read on from where the last look ended."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self._offsets = {attempt.stdout: 0, attempt.stderr: 0}
        self._shown: Path | None = None

    def print_new(self, out: TextIO) -> None:
        for path, offset in self._offsets.items():
            if not path.exists():
                continue
            with path.open("rb") as log:
                log.seek(offset)
                news = log.read()
            if news:
                if self._shown != path:
                    out.write(f"==> attempt {self.attempt.number}: {path.name} <==\n")
                    self._shown = path
                out.write(news.decode(errors="replace"))
                self._offsets[path] = offset + len(news)
        out.flush()
