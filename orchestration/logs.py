"""What trials printed, at once or as it comes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from orchestration.attempt import Attempt
from orchestration.errors import DescriptionError
from orchestration.journal import TrialFolder
from orchestration.journal_records import State
from orchestration.selection import Chosen
from orchestration.trial_state import state_of

POLL_SECONDS = 0.3
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Wanted:
    """What of the logs is wanted.

    Args:
        attempt: its number; None: the last one.
        only_stderr: leave out what went to stdout.
        last_lines: of each log; None: all of them.
    """

    attempt: int | None = None
    only_stderr: bool = False
    last_lines: int | None = None


def print_logs(chosen: Sequence[Chosen], wanted: Wanted, out: TextIO) -> None:
    """Print the logs of an attempt of each trial; a single trial that has none is an error."""
    printer = _Printer(out, with_names=len(chosen) > 1)
    for one in chosen:
        tail = _tail_of(one, wanted)
        if tail is None and len(chosen) == 1:
            raise DescriptionError(f"{one.name}: {_why_nothing(one.folder, wanted.attempt)}")
        if tail is not None:
            printer.print_new(one.name, tail)


def follow_logs(chosen: Sequence[Chosen], wanted: Wanted, out: TextIO) -> None:
    """Print what the trials print until all of them have ended, over several attempts."""
    printer = _Printer(out, with_names=len(chosen) > 1)
    tails: dict[str, _Tail] = {}
    live = list(chosen)
    while live:
        ended = []
        for one in live:
            state = state_of(one.folder)  # before the logs, so that the last words of a trial that ends now are printed
            tail = _tail_of(one, wanted)
            before = tails.get(one.name)
            if tail is not None and (before is None or before.title != tail.title):
                if before is not None:
                    printer.print_new(one.name, before)
                tails[one.name] = tail
            has_ended = state not in (State.RUNNING, State.QUEUED, State.PLANNED, State.LOST)
            if one.name in tails:
                printer.print_new(one.name, tails[one.name], to_come=not has_ended)
            if has_ended:
                ended.append(one)
        live = [one for one in live if one not in ended]
        if live:
            time.sleep(POLL_SECONDS)


@dataclass
class _Log:
    """A file that grows, read on from where the last look ended."""

    path: Path
    last_lines: int | None
    offset: int | None = None

    def news(self, only_lines: bool) -> str:
        """Return what came since the last look; a line that has no end yet is left for later if wanted."""
        try:
            with self.path.open("rb") as log:
                if self.offset is None:
                    self.offset = _start_of_last_lines(self.path, self.last_lines)
                log.seek(self.offset)
                content = log.read()
        except FileNotFoundError:
            return ""
        if only_lines:
            content = content[: content.rfind(b"\n") + 1]
        self.offset += len(content)
        return content.decode(errors="replace")


class _Tail:
    """The logs of one attempt, or of the job that never started one."""

    def __init__(self, title: str, paths: Sequence[Path], last_lines: int | None) -> None:
        self.title = title
        self.logs = [_Log(path, last_lines) for path in paths]


class _Printer:
    """Prints under a heading per log, or with several trials with the name of the trial before each line."""

    def __init__(self, out: TextIO, with_names: bool) -> None:
        self._out = out
        self._with_names = with_names
        self._heading = ""

    def print_new(self, name: str, tail: _Tail, to_come: bool = False) -> None:
        for log in tail.logs:
            news = log.news(only_lines=to_come and self._with_names)
            if not news:
                continue
            heading = f"==> {tail.title}: {log.path.name} <=="
            if self._with_names:
                self._out.writelines(f"{name} | {line}\n" for line in news.splitlines())
                continue
            if heading != self._heading:
                self._heading = heading
                self._out.write(f"{heading}\n")
            self._out.write(news)
        self._out.flush()


def _tail_of(one: Chosen, wanted: Wanted) -> _Tail | None:
    attempt = _attempt(one.folder, wanted.attempt)
    if attempt is not None:
        paths = [attempt.stderr] if wanted.only_stderr else [attempt.stdout, attempt.stderr]
        return _Tail(f"attempt {attempt.number}", paths, wanted.last_lines)
    request = None if wanted.attempt is not None else one.folder.request()
    job = request.job if request else ""
    log = log_of_job(one.folder.path.parent, job) if job else None
    return None if log is None else _Tail(f"job {job}", [log], wanted.last_lines)


def log_of_job(runs: Path, job: str) -> Path | None:
    """Return what the job of a trial printed: all there is when no worker ever started in it."""
    from orchestration.launch.slurm.submission import Ledger  # only where a trial names a job

    return Ledger(runs).log(job)


def _attempt(folder: TrialFolder, number: int | None) -> Attempt | None:
    if number is None:
        return folder.last_attempt()
    return next((attempt for attempt in folder.attempts() if attempt.number == number), None)


def _why_nothing(folder: TrialFolder, number: int | None) -> str:
    return "no attempt yet" if number is None else f"no attempt {number}; there are {len(folder.attempts())}"


def _start_of_last_lines(path: Path, count: int | None) -> int:
    """Return the offset behind which a file has so many lines; 0 for all of them."""
    if count is None:
        return 0
    with path.open("rb") as log:
        start = log.seek(0, 2)
        end, missing = start, count
        while start > 0:
            size = min(start, CHUNK_BYTES)
            start -= size
            log.seek(start)
            chunk = log.read(size)
            # The line end that closes the file does not begin a line.
            at = len(chunk) - (start + size == end and chunk.endswith(b"\n"))
            while missing and (found := chunk.rfind(b"\n", 0, at)) >= 0:
                at, missing = found, missing - 1
            if not missing:
                return end if count == 0 else start + at + 1
        return 0
