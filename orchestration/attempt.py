"""One attempt at a trial: ``attempts/<n>/`` with the claim, the provenance, the output and the outcome."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestration.claim import STALE_SECONDS, Owner, silent_for
from orchestration.durable import create_whole, link_to, make_folder, read_whole, to_json
from orchestration.ending import Ending, Outcome

LAST = "last"
"""Name of the link to the newest attempt, beside the attempts."""


@dataclass(frozen=True)
class Attempt:
    """An attempt as read from its folder at one moment."""

    number: int
    folder: Path
    owner: Owner
    started_ms: int
    ending: Ending | None = None

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it runs, or when its worker died without a word."""
        return self.ending.outcome if self.ending else None

    @property
    def ended_ms(self) -> int | None:
        """When it ended, in milliseconds since 1970."""
        return self.ending.ended_ms if self.ending else None

    @property
    def host(self) -> str:
        """The machine it ran on."""
        return self.owner.host

    @property
    def pid(self) -> int:
        """The process that ran it."""
        return self.owner.pid

    @cached_property
    def provenance(self) -> Mapping[str, Any]:
        """What ran: command, host, versions, git commit; empty when the worker died before it was written."""
        return read_whole(self.folder / "provenance.json") or {}

    @property
    def stdout(self) -> Path:
        """What the worker printed."""
        return self.folder / "stdout.log"

    @property
    def stderr(self) -> Path:
        """What the worker and its libraries complained about, and the traceback of a failure."""
        return self.folder / "stderr.log"

    def is_live(self) -> bool:
        """Tell whether a worker is at it now."""
        if self.ending is not None:
            return False
        alive = self.owner.is_alive()
        if alive is not None:
            return alive
        if self.owner.was_requeued():
            return False
        beat_path = self.folder.parents[1] / "heartbeat"
        beat = read_whole(beat_path, durable=False)
        if beat is None or beat["attempt"] != self.number:
            silence = silent_for(None, self.folder / "claim.json")
        else:
            silence = silent_for(beat, beat_path)
        return silence < STALE_SECONDS or self.owner.has_running_job()

    def is_overtaken(self) -> bool:
        """Tell whether somebody claimed the next attempt: the trial's files are no longer this one's to write."""
        return os.path.exists(self._next_claim)  # noqa: PTH110 - asked at every logged step

    @cached_property
    def _next_claim(self) -> str:
        return str(self.folder.with_name(str(self.number + 1)) / "claim.json")

    def close(self, ending: Ending) -> bool:
        """Write the outcome unless somebody did; the first one stands."""
        ended_ms = max(ending.ended_ms, self.started_ms)  # by another machine's clock, or one that was set back
        fields = {**vars(ending), "outcome": ending.outcome.value, "ended_ms": ended_ms}
        return create_whole(self.folder / "outcome.json", to_json(fields, indent=1))

    @classmethod
    def read(cls, folder: Path) -> Attempt | None:
        """Return the attempt in a folder, or None when nobody claimed it."""
        claim = read_whole(f"{folder}/claim.json")
        if claim is None:
            return None
        written = read_whole(f"{folder}/outcome.json")
        ending = Ending(**{**written, "outcome": Outcome(written["outcome"])}) if written else None
        return cls(int(folder.name), folder, Owner.from_dict(claim["owner"]), claim["started_ms"], ending)

    @classmethod
    def create(cls, folder: Path, not_before_ms: int = 0) -> Attempt | None:
        """Claim an attempt for this process, or return None when another one was faster."""
        make_folder(folder)
        attempt = cls(int(folder.name), folder, Owner.this_process(), now_ms(not_before_ms))
        claim = {"attempt": attempt.number, "owner": vars(attempt.owner), "started_ms": attempt.started_ms}
        return attempt if create_whole(folder / "claim.json", to_json(claim, indent=1)) else None


@dataclass(frozen=True)
class Held:
    """A claim that was refused because somebody else works on the trial."""

    by: Attempt


def claim_next(attempts: Path) -> Attempt | Held:
    """Claim the next attempt in a folder of attempts, unless a live worker holds the last one."""
    while True:
        last = last_attempt(attempts)
        if last is not None and last.is_live():
            return Held(last)
        claimed = Attempt.create(attempts / str(last.number + 1 if last else 1), _latest_ms(last))
        if claimed is not None:
            if last is not None and last.ending is None:
                last.close(Ending(Outcome.LOST, now_ms(), "its worker vanished; found by the next attempt"))
            link_to(attempts / LAST, str(claimed.number))
            return claimed


def last_attempt(attempts: Path) -> Attempt | None:
    """Return the newest claimed attempt."""
    for folder in reversed(attempt_folders(attempts)):
        attempt = Attempt.read(folder)
        if attempt is not None:
            return attempt
    return None


def attempt_folders(attempts: Path) -> list[Path]:
    """Return the folders of the attempts, claimed or not, oldest first."""
    try:
        names = os.listdir(attempts)  # noqa: PTH208 - states of thousands of trials are read: a Path per name is slow
    except FileNotFoundError:
        return []
    return [attempts / name for name in sorted(filter(str.isdigit, names), key=int)]


_newest = (0, 0)


def now_ms(not_before_ms: int = 0) -> int:
    """Return the time in milliseconds since 1970; within a process it never goes back, nor before a moment once given.

    A clock that was set back, or the slower clock of another machine, would put an attempt before the one it continues,
    and the steps of a curve out of order. From the newest moment on, time then passes as measured by a stopwatch.
    """
    global _newest
    newest, at = _newest
    watch = time.monotonic_ns()
    _newest = (max(not_before_ms * 1_000_000, newest + watch - at if at else 0, time.time_ns()), watch)
    return _newest[0] // 1_000_000


def _latest_ms(attempt: Attempt | None) -> int:
    """Return the latest moment that an attempt left behind."""
    if attempt is None:
        return 0
    beat = read_whole(attempt.folder.parents[1] / "heartbeat", durable=False)
    times = [attempt.started_ms, attempt.ended_ms or 0, int(1000 * beat["time"]) if beat else 0]
    return max(times)
