"""Plans as people and programs read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.demand import demand_of, resources_text
from orchestration.durable import to_json
from orchestration.journal_records import State
from orchestration.missing_inputs import is_missing, missing_inputs
from orchestration.plan import Plan
from orchestration.resources import Resources
from orchestration.signature import SHOWN_DIGITS
from orchestration.status import STATE_STYLE
from orchestration.trial_description import Trial

MOST_LISTED = 60
MOST_SHARED = 5


def plan_records(plan: Plan, states: Mapping[str, State]) -> list[dict[str, Any]]:
    """Return the trials of a plan as programs read them, in dependency order."""
    requested = plan.requested
    requests: dict[str, list[str]] = {}
    for entry in plan.entries:
        requests.setdefault(entry.signature, []).append(f"{entry.experiment}/{entry.name}")
    return [
        {
            "name": trial.name,
            "experiment": trial.experiment,
            "variant": trial.variant,
            "signature": trial.signature,
            "group": trial.group,
            "task": trial.task,
            "code_version": trial.code_version,
            "config": trial.config,
            "point": trial.point,
            "seed": trial.seed,
            "needs": dict(trial.needs),
            "fingerprints": trial.fingerprints,
            "missing": {name: text for name, text in trial.fingerprints.items() if is_missing(text)},
            "tags": trial.tags,
            "resources": vars(trial.resources),
            **vars(demand_of([trial.resources])),
            "state": states[trial.signature].value,
            "requested": trial.signature in requested,
            "requests": requests.get(trial.signature, []),
        }
        for trial in plan.trials
    ]


def records_json(records: Sequence[Mapping[str, Any]]) -> str:
    """Return a list in JSON with one record per line: thousands are written at once, and found again by ``grep``."""
    return "[\n" + ",\n".join(map(to_json, records)) + "\n]"


def print_plan(plan: Plan, states: Mapping[str, State], console: Console) -> None:
    """Print the trials, and per experiment how many are in which state and what they ask for."""
    console.print(_trials(plan, states))
    if len(plan.entries) > MOST_LISTED:
        _say(console, f"... and {len(plan.entries) - MOST_LISTED} more (--json lists all)")
    console.print("", _experiments(plan, states), "")
    for experiment, open_points in plan.open_points.items():
        _say(console, f"{experiment}: {open_points} more points will be chosen from results")
    _say_what_is_shared(plan, console)
    number = Counter(states[trial.signature] for trial in plan.trials)
    shown = ", ".join(f"{number[state]} {_called(state)}" for state in State if number[state])
    _say(console, f"{len(plan.trials)} trials: {shown or 'none'}")
    _say_demand(plan, states, console)
    _say_what_is_missing(plan, states, console)


def _trials(plan: Plan, states: Mapping[str, State]) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in ("experiment", "trial", "signature", "state"):
        table.add_column(head, no_wrap=head in ("signature", "state"), overflow="fold")
    for entry in plan.entries[:MOST_LISTED]:
        name = entry.name if entry.requested else f"{entry.name} (needed)"
        state = states[entry.signature]
        styled = Text(_called(state), style=STATE_STYLE.get(state, ""))
        table.add_row(Text(entry.experiment), Text(name), entry.signature[:SHOWN_DIGITS], styled)
    return table


def _experiments(plan: Plan, states: Mapping[str, State]) -> Table:
    """Return a row per experiment; a trial that several ask for stands with the first."""
    trials: dict[str, list[Trial]] = {}
    for trial in plan.trials:
        trials.setdefault(trial.experiment, []).append(trial)
    used = [state for state in State if state in states.values()]
    table = Table(box=None, pad_edge=False)
    for head in ("experiment", "trials", *map(_called, used), "each", "GPU-h", "to run", "CPU-h", "to run"):
        table.add_column(
            head, no_wrap=head not in ("each", "experiment"), justify="left" if head == "each" else "right"
        )
    table.columns[0].justify = "left"
    for experiment, own in trials.items():
        number = Counter(states[trial.signature] for trial in own)
        each = dict.fromkeys(resources_text(trial.resources) for trial in own)
        asked, left = demand_of(t.resources for t in own), demand_of(_to_run(own, states))
        table.add_row(
            Text(experiment),
            str(len(own)),
            *(str(number[state] or "") for state in used),
            "; ".join(each),
            *map(_hours, (asked.gpu_hours, left.gpu_hours, asked.cpu_hours, left.cpu_hours)),
        )
    return table


def _say_what_is_shared(plan: Plan, console: Console) -> None:
    first: dict[str, str] = {}
    shared = [f"{name} by equal points" for name in plan.repeated]
    for entry in plan.entries:
        name = f"{entry.experiment}/{entry.name}"
        if entry.signature in first:
            shared.append(f"{name} is {first[entry.signature]}")
        first.setdefault(entry.signature, name)
    if shared:
        more = f"; and {len(shared) - MOST_SHARED} more" if len(shared) > MOST_SHARED else ""
        _say(console, f"asked for more than once, run once: {'; '.join(shared[:MOST_SHARED])}{more}")


def _say_demand(plan: Plan, states: Mapping[str, State], console: Console) -> None:
    asked = demand_of(trial.resources for trial in plan.trials)
    left = demand_of(_to_run(plan.trials, states))
    for what, total, rest in (("GPU", asked.gpu_hours, left.gpu_hours), ("CPU", asked.cpu_hours, left.cpu_hours)):
        _say(console, f"{what}-hours: {_hours(total)} asked for, {_hours(rest)} to run")
    if None in (asked.gpu_hours, asked.cpu_hours):
        without = dict.fromkeys(trial.experiment for trial in plan.trials if trial.resources.hours is None)
        _say(console, f"unknown, because there is no Resources(hours=...) in {', '.join(without)}")


def _say_what_is_missing(plan: Plan, states: Mapping[str, State], console: Console) -> None:
    missing = missing_inputs(trial for trial in plan.trials if states[trial.signature] is not State.DONE)
    if missing:
        _say(console, "missing on this machine; nothing is started before it is there:")
    for one in missing:
        _say(console, f"  {one.text} ({len(one.trials)} trial{'' if len(one.trials) == 1 else 's'})")


def _to_run(trials: Iterable[Trial], states: Mapping[str, State]) -> Iterator[Resources]:
    return (trial.resources for trial in trials if states[trial.signature] not in (State.DONE, State.PRUNED))


def _called(state: State) -> str:
    return "new" if state is State.PLANNED else state.value


def _hours(hours: float | None) -> str:
    return "unknown" if hours is None else f"{hours:,.1f}".removesuffix(".0")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
