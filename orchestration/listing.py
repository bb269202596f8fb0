"""Plans and states as people and programs read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.errors import DescriptionError, NewerFormatError
from orchestration.journal import State, TrialFolder
from orchestration.launch.progress import STATE_STYLE, counts
from orchestration.plan import Plan
from orchestration.runs import Runs
from orchestration.signature import SHOWN_DIGITS

MOST_LISTED = 60


@dataclass(frozen=True)
class StatusLine:
    """Where one trial stands. ``total`` is 0 while unknown; ``message`` says why it did not finish."""

    experiment: str
    name: str
    signature: str
    state: State
    step: int
    total: int
    attempts: int
    message: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "state": self.state.value}


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


def status_of_plan(plan: Plan, runs: Runs) -> list[StatusLine]:
    """Return a line per request of a plan."""
    states = runs.states(plan.trials)
    return [
        _line(entry.experiment, entry.name, runs.folder(entry.signature), states[entry.signature])
        for entry in plan.entries
    ]


def status_of_folders(runs: Runs) -> list[StatusLine]:
    """Return a line per name ever given to a trial."""
    names = runs.names()
    states = runs.states_of(folder for _, _, folder in names)
    return [_line(experiment, name, folder, states[folder.signature]) for experiment, name, folder in names]


def print_status(lines: Sequence[StatusLine], runs: Runs, console: Console) -> None:
    """Print how many trials of each experiment are in which state, and the trials, the unfinished ones first."""
    if not lines:
        console.print(f"nothing was launched into {runs.root}", highlight=False, markup=False, soft_wrap=True)
        return
    summary = Table(box=None, pad_edge=False)
    used = [state for state in State if any(line.state is state for line in lines)]
    for head in ("experiment", *used):
        summary.add_column(head)
    for experiment in dict.fromkeys(line.experiment for line in lines):
        number = Counter(line.state for line in lines if line.experiment == experiment)
        summary.add_row(Text(experiment), *(str(number[state] or "") for state in used))
    console.print(summary, "")
    table = Table(box=None, pad_edge=False)
    for head in ("trial", "signature", "state", "step", "attempts", ""):
        table.add_column(head, no_wrap=head != "")
    shown = sorted(lines, key=lambda line: line.state is State.DONE)[:MOST_LISTED]
    for line in shown:
        steps = f"{line.step}/{line.total}" if line.total else (str(line.step) if line.step else "")
        name = Text(f"{line.experiment}/{line.name}")
        short = line.signature[:SHOWN_DIGITS]
        table.add_row(name, short, _styled(line.state), steps, str(line.attempts or ""), Text(line.message))
    console.print(table)
    if len(lines) > len(shown):
        console.print(f"... and {len(lines) - len(shown)} more (--json lists all)")


def one_trial(runs: Runs, text: str) -> TrialFolder:
    """Return the trial meant by a name, a signature or a path; an unclear one is an error."""
    found = runs.find(text)
    if len(found) == 1:
        return found[0]
    if not found:
        raise DescriptionError(f"{text}: no such trial in {runs.root}; `oneshot status` lists them")
    meant = ", ".join(f"{folder.trial.experiment}/{folder.trial.name} ({folder.trial.short})" for folder in found[:5])
    raise DescriptionError(f"{text}: this can be {len(found)} trials, for example {meant}; name one of them")


def _line(experiment: str, name: str, folder: TrialFolder, state: State) -> StatusLine:
    if state is State.UNKNOWN:
        return StatusLine(experiment, name, folder.signature, state, 0, 0, 0, _why_unknown(folder))
    if state in (State.DONE, State.PLANNED):  # the two states of which there may be thousands
        return StatusLine(experiment, name, folder.signature, state, 0, 0, 0, "")
    last, beat = folder.last_attempt(), folder.heartbeat()
    message = last.ending.message if last and last.ending and state is not State.RUNNING else ""
    return StatusLine(
        experiment,
        name,
        folder.signature,
        state,
        beat.step if beat else 0,
        beat.total if beat else 0,
        last.number if last else 0,
        message,
    )


def _why_unknown(folder: TrialFolder) -> str:
    try:
        return folder.trial.name
    except NewerFormatError as error:
        return str(error)


def _styled(state: State) -> Text:
    return Text(state.value, style=STATE_STYLE.get(state, ""))
