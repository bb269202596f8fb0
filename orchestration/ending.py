"""How an attempt at a trial ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How an attempt ended."""

    OK = "ok"
    FAILED = "failed"  # the task raised an error or crashed
    PREEMPTED = "preempted"  # asked to stop, and everything was saved
    TIMEOUT = "timeout"  # reached its time limit
    OOM = "oom"  # ran out of memory
    NODE_FAIL = "node_fail"  # the machine went away
    CANCELLED = "cancelled"  # a person stopped it for good
    PRUNED = "pruned"  # a scheduler judged it not worth continuing
    LOST = "lost"  # it vanished without a word


@dataclass(frozen=True)
class Ending:
    """What ``outcome.json`` holds.

    Args:
        outcome: how the attempt ended.
        ended_ms: when, in milliseconds since 1970.
        message: one line for people.
        error: a digest of the traceback, equal for equal failures; empty when there is none.
        exit_code: of the worker; None when nobody saw it.
        can_retry: False when trying again without a change cannot help.
    """

    outcome: Outcome
    ended_ms: int
    message: str = ""
    error: str = ""
    exit_code: int | None = None
    can_retry: bool = True
