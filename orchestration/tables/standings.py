"""Where every trial of a table stands, also those that were never started because of what they need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestration.missing_inputs import missing_inputs
from orchestration.plan import Plan
from orchestration.tables.contract import TrialResults
from orchestration.tables.result import CellState
from orchestration.trial_description import Trial

Standing = tuple[CellState, str]
"""A state, and why in words."""


def with_needs(wanted: Iterable[Trial], plan: Plan) -> dict[str, Trial]:
    """Return signature -> trial for the given trials and everything that they need."""
    by_signature = {trial.signature: trial for trial in plan.trials}
    needed = {trial.signature: trial for trial in wanted}
    open_ = list(needed.values())
    while open_:
        for signature in open_.pop().needs.values():
            if signature not in needed and signature in by_signature:
                needed[signature] = by_signature[signature]
                open_.append(by_signature[signature])
    return needed


def standings(trials: Mapping[str, Trial], found: Mapping[str, TrialResults]) -> dict[str, Standing]:
    """Return signature -> state and reason; a trial that was never started is blocked when what it needs failed.

    What this machine lacks for it is the reason why a trial is still planned.
    """
    states: dict[str, Standing] = {}

    def judge(signature: str) -> Standing:
        if signature not in states:
            states[signature] = _state(trials[signature])
        return states[signature]

    def _state(trial: Trial) -> Standing:
        results = found.get(trial.signature)
        if results is not None and results.state not in ("planned", "queued", "blocked"):
            return results.state, results.reason
        for signature in trial.needs.values():
            if signature in trials and judge(signature)[0] in ("failed", "blocked", "cancelled", "pruned"):
                return "blocked", f"needs {trials[signature].name}, which is {judge(signature)[0]}"
        if results is not None and results.state == "queued":
            return "queued", results.reason
        return "planned", "; ".join(one.text for one in missing_inputs([trial]))

    for signature in trials:
        judge(signature)
    return states
