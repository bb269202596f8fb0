"""What a stage found: our samples, those of the bare tool if there is one, and what is expected of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import Any


class Unit(Enum):
    """What is counted; seconds are better when fewer, the others when more."""

    SECONDS = "s"
    TRIALS = "trials/s"
    POINTS = "points/s"
    SHARE = "%"

    @property
    def best(self) -> Callable[[Sequence[float]], float]:
        """Return the function that picks the sample of an undisturbed machine."""
        return max if self in (Unit.TRIALS, Unit.POINTS) else min

    def text(self, value: float) -> str:
        """Return a value as people read it."""
        if self is Unit.SECONDS:
            return f"{value:.2f} s" if abs(value) >= 1 else f"{1000 * value:.1f} ms"
        if self is Unit.SHARE:
            return f"{100 * value:.2f} %"
        return f"{value:,.0f} {self.value}" if value >= 100 else f"{value:.2f} {self.value}"


@dataclass(frozen=True)
class Target:
    """What is expected of a value, or of its ratio to that of the bare tool."""

    limit: float
    of_ratio: bool = False
    at_least: bool = False

    def text(self, unit: Unit) -> str:
        """Return the expectation as people read it."""
        shown = f"{self.limit:g} times" if self.of_ratio else unit.text(self.limit)
        return f"{'at least' if self.at_least else 'at most'} {shown}"


@dataclass(frozen=True)
class Finding:
    """One number and what it is compared with.

    Args:
        stage: that found it.
        title: what was done.
        unit: of the samples.
        ours: a sample per repetition.
        bare: the same by the bare tool, in turn with ours; empty without one.
        bare_title: which tool.
        target: what is expected; None: nothing.
        note: what one has to know to read it.
        skipped: why nothing was measured; empty when something was.
    """

    stage: str
    title: str
    unit: Unit = Unit.SECONDS
    ours: tuple[float, ...] = ()
    bare: tuple[float, ...] = ()
    bare_title: str = ""
    target: Target | None = None
    note: str = ""
    skipped: str = ""

    @property
    def best(self) -> float | None:
        """Ours on an undisturbed machine."""
        return self.unit.best(self.ours) if self.ours else None

    @property
    def best_bare(self) -> float | None:
        """The bare tool's on an undisturbed machine."""
        return self.unit.best(self.bare) if self.bare else None

    @property
    def ratio(self) -> float | None:
        """Ours in units of the bare tool's."""
        if self.best is None or not self.best_bare:
            return None
        return self.best / self.best_bare

    @property
    def is_met(self) -> bool | None:
        """Tell whether it is as expected; None without a target or a measurement."""
        value = self.ratio if self.target is not None and self.target.of_ratio else self.best
        if self.target is None or value is None:
            return None
        return value >= self.target.limit if self.target.at_least else value <= self.target.limit

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "stage": self.stage,
            "title": self.title,
            "unit": self.unit.value,
            "best": self.best,
            "median": median(self.ours) if self.ours else None,
            "samples": list(self.ours),
            "bare_title": self.bare_title,
            "bare_best": self.best_bare,
            "bare_samples": list(self.bare),
            "ratio": self.ratio,
            "target": self.target.text(self.unit) if self.target else None,
            "met": self.is_met,
            "note": self.note,
            "skipped": self.skipped,
        }
