"""Whether a trial that did not finish is tried again: budgets per cause, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.attempt import Attempt
from orchestration.ending import Outcome

BUDGETS = {
    Outcome.PREEMPTED: ("infrastructure", 20),
    Outcome.TIMEOUT: ("infrastructure", 20),
    Outcome.NODE_FAIL: ("infrastructure", 20),
    Outcome.LOST: ("infrastructure", 20),
    Outcome.FAILED: ("code", 1),
    Outcome.OOM: ("code", 1),
}
"""Outcome -> the budget it is charged to, and how often that budget allows another try in one launch."""

FRESH_START_SECONDS = 600.0
"""An attempt that lasted so long got somewhere: what the infrastructure did before it is forgotten. A training of weeks
on nodes that are taken away every few hours is not given up."""

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class Verdict:
    """``pause_seconds`` is None when the trial is given up, for the given reason."""

    pause_seconds: float | None
    reason: str = ""


def judge(attempts: Sequence[Attempt]) -> Verdict:
    """Return whether another attempt may follow those of this launch, the last of which did not finish."""
    if not attempts:
        return Verdict(0.0)
    last = attempts[-1]
    outcome = last.outcome or Outcome.LOST
    if outcome not in BUDGETS:
        return Verdict(None, last.ending.message if last.ending and last.ending.message else f"it was {outcome}")
    if last.ending is not None and not last.ending.can_retry:
        return Verdict(None, last.ending.message)
    if last.ending is not None and last.ending.error and outcome in (Outcome.FAILED, Outcome.OOM):
        same = [attempt for attempt in attempts if attempt.ending and attempt.ending.error == last.ending.error]
        if len(same) > 1:
            return Verdict(None, f"the same failure twice: {last.ending.message}")
    budget, allowed = BUDGETS[outcome]
    spent = _spent(attempts, budget)
    if spent > allowed:
        return Verdict(None, f"{spent} attempts ended by {budget} problems, the last one {outcome}")
    return Verdict(min(FIRST_PAUSE_SECONDS * 2 ** (spent - 1), LONGEST_PAUSE_SECONDS))


def _spent(attempts: Sequence[Attempt], budget: str) -> int:
    spent = 0
    for attempt in reversed(attempts):
        spent += BUDGETS.get(attempt.outcome or Outcome.LOST, ("", 0))[0] == budget
        seconds = ((attempt.ended_ms or attempt.started_ms) - attempt.started_ms) / 1000
        if budget == "infrastructure" and seconds >= FRESH_START_SECONDS:
            break
    return spent
