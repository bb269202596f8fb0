"""What a trial folder says: states, values, events and wishes as readers get them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from orchestration.claim import Owner
from orchestration.ending import Outcome
from orchestration.resources import Resources


class State(StrEnum):
    """Where a trial stands; derived from its folder, never stored."""

    PLANNED = "planned"  # nobody works on it
    QUEUED = "queued"  # a launcher that lives will start or continue it
    RUNNING = "running"  # a worker is at it
    DONE = "done"  # it has a result
    FAILED = "failed"  # its last attempt failed
    PRUNED = "pruned"  # a scheduler stopped it: not a result
    CANCELLED = "cancelled"  # stopped before its end; running it again continues it
    BLOCKED = "blocked"  # a trial it needs failed
    LOST = "lost"  # its worker vanished; running it again continues it
    UNKNOWN = "unknown"  # a newer version of this program wrote its folder


class MetricPoint(NamedTuple):
    """A value of a metric at a step. ``time_ms`` is when the step was logged first: a repeated step keeps it."""

    name: str
    value: float
    step: int
    time_ms: int


@dataclass(frozen=True)
class Event:
    """Something worth telling that happened in an attempt."""

    kind: str
    time_ms: int
    attempt: int
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Heartbeat:
    """How far a worker is. ``time`` is in seconds since 1970 and never goes back; ``total`` is 0 while unknown."""

    time: float
    attempt: int
    host: str
    pid: int
    step: int = 0
    total: int = 0


@dataclass(frozen=True)
class Result:
    """The final metrics of a trial that is done."""

    metrics: Mapping[str, float]
    finished_ms: int
    attempt: int


@dataclass(frozen=True)
class Request:
    """What a launcher wants of a trial that does not belong to its identity.

    Args:
        launcher: the process that looks after the trial; None once it does not any more.
        attempts_before: number of the last attempt before this launch; retry budgets count from there.
        resources: what the trial may occupy.
        settings: neutral configuration key -> value.
        import_paths: where the task is imported from, behind what Python looks at anyway.
        job: of the cluster's scheduler that will run it, whatever becomes of the launcher; empty without one.
    """

    launcher: Owner | None
    attempts_before: int
    resources: Resources
    settings: Mapping[str, Any]
    import_paths: Sequence[str]
    job: str = ""


@dataclass(frozen=True)
class Wish:
    """That a trial ends without a result; it holds until somebody asks for the trial again.

    Args:
        why: who wants it, or what the scheduler saw.
        time_ms: since when, in milliseconds since 1970.
        outcome: of the attempt that is ended by it: cancelled by a person, or pruned by a scheduler.
    """

    why: str
    time_ms: int
    outcome: Outcome

    @property
    def told(self) -> str:
        """What it says to people."""
        return f"cancelled by {self.why}" if self.outcome is Outcome.CANCELLED else f"{self.outcome}: {self.why}"


@dataclass(frozen=True)
class Perturbation:
    """That a member of a population goes on from a copy of another one, with other settings.

    Args:
        generation: how often this has happened to the member.
        step: of the copied checkpoint.
        donor: signature of the member that was copied.
        settings: dotted configuration key -> value; they replace the trial's.
    """

    generation: int
    step: int
    donor: str
    settings: Mapping[str, Any]


class Sample(NamedTuple):
    """Load of the machine at a moment: name -> value."""

    time_ms: int
    attempt: int
    values: Mapping[str, float]
