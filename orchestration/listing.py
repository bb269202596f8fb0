"""Plans as people and programs read them, and the one trial that a text means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.errors import DescriptionError
from orchestration.journal import State, TrialFolder
from orchestration.plan import Plan
from orchestration.runs import Runs
from orchestration.signature import SHOWN_DIGITS
from orchestration.status import STATE_STYLE, counts

MOST_LISTED = 60


def plan_records(plan: Plan, states: Mapping[str, State]) -> list[dict[str, Any]]:
    """Return the trials of a plan as programs read them, in dependency order."""
    requested = plan.requested
    return [
        {
            "name": trial.name,
            "signature": trial.signature,
            "task": trial.task,
            "config": trial.config,
            "seed": trial.seed,
            "needs": dict(trial.needs),
            "resources": vars(trial.resources),
            "state": states[trial.signature].value,
            "requested": trial.signature in requested,
        }
        for trial in plan.trials
    ]


def print_plan(plan: Plan, states: Mapping[str, State], console: Console) -> None:
    """Print a line per request, and how many trials are in which state."""
    table = Table(box=None, pad_edge=False)
    for head in ("experiment", "trial", "signature", "state"):
        table.add_column(head, no_wrap=True)
    for entry in plan.entries[:MOST_LISTED]:
        name = entry.name if entry.requested else f"{entry.name} (needed)"
        table.add_row(
            Text(entry.experiment), Text(name), entry.signature[:SHOWN_DIGITS], _styled(states[entry.signature])
        )
    console.print(table)
    if len(plan.entries) > MOST_LISTED:
        console.print(f"... and {len(plan.entries) - MOST_LISTED} more (--json lists all)")
    shared = len(plan.entries) - len(plan.trials)
    console.print(
        f"{len(plan.trials)} trials"
        + (f" ({shared} more requests are for trials listed already)" if shared else "")
        + f": {counts(states.values())}",
        highlight=False,
    )
    for sweep, left in plan.open_points.items():
        console.print(f"{sweep}: {left} more points are chosen as results come in", highlight=False, markup=False)


def one_trial(runs: Runs, text: str) -> TrialFolder:
    """Return the trial meant by a name, a signature or a path; an unclear one is an error."""
    found = runs.find(text)
    if len(found) == 1:
        return found[0]
    if not found:
        raise DescriptionError(f"{text}: no such trial in {runs.root}; `oneshot status` lists them")
    meant = ", ".join(f"{folder.trial.experiment}/{folder.trial.name} ({folder.trial.short})" for folder in found[:5])
    raise DescriptionError(f"{text}: this can be {len(found)} trials, for example {meant}; name one of them")


def _styled(state: State) -> Text:
    return Text(state.value, style=STATE_STYLE.get(state, ""))
