"""Run trials again from their folders alone: the description they came from may have changed or be gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestration.errors import DescriptionError
from orchestration.journal import TrialFolder
from orchestration.journal_records import State
from orchestration.plan import Entry, Plan
from orchestration.runs import Runs
from orchestration.selection import Chosen, choose_all
from orchestration.signature import SHOWN_DIGITS
from orchestration.trial_description import Trial

FAILED = (State.FAILED, State.LOST)
"""What ended badly although nobody wanted it to."""

AT_WORK = (State.RUNNING, State.QUEUED)


def retryable(chosen: Sequence[Chosen], runs: Runs) -> dict[Chosen, State]:
    """Return those that are neither done nor looked after by somebody, with their state."""
    states = runs.states_of(one.folder for one in chosen)
    found = {one: states[one.folder.signature] for one in chosen}
    return {one: state for one, state in found.items() if state not in (*AT_WORK, State.DONE, State.UNKNOWN)}


def dependents(trials: Sequence[Chosen], runs: Runs) -> list[Chosen]:
    """Return the unfinished trials that need one of these, directly or not, and that nobody cancelled."""
    others = {one.folder.signature: one for one in choose_all(runs) if not one.folder.is_done()}
    states = runs.states_of(one.folder for one in others.values())
    waiting = {
        signature: one
        for signature, one in others.items()
        if states[signature] in (State.BLOCKED, State.PLANNED) and one.folder.cancel_wish() is None
    }
    reached = {one.folder.signature for one in trials}
    found: list[Chosen] = []
    while True:
        more = [
            one
            for signature, one in waiting.items()
            if signature not in reached and reached & set(one.folder.trial.needs.values())
        ]
        if not more:
            return found
        found += more
        reached |= {one.folder.signature for one in more}


def plan_again(trials: Sequence[Chosen], runs: Runs) -> Plan:
    """Return a plan of these trials and of everything they need, as their folders describe them.

    Raises:
        DescriptionError: a trial that is needed has no folder.
    """
    ordered: dict[str, Trial] = {}
    for one in trials:
        _add(one.folder, runs, ordered)
    chosen = {one.folder.signature: one for one in trials}
    owners = {(experiment, name): folder.signature for experiment, name, folder in runs.names()}
    entries = tuple(_entry(trial, chosen.get(signature), owners) for signature, trial in ordered.items())
    return Plan(tuple(ordered.values()), entries)


def other_folder(trials: Sequence[Chosen]) -> Path | None:
    """Return where these trials ran before, unless it is where this process runs: relative paths would mean others."""
    for one in trials:
        last = one.folder.last_attempt()
        folder = last.provenance.get("folder") if last else None
        if folder and Path(folder) != Path.cwd():
            return Path(folder)
    return None


def _add(folder: TrialFolder, runs: Runs, ordered: dict[str, Trial]) -> None:
    """Add a trial behind everything it needs."""
    if folder.signature in ordered:
        return
    trial = folder.trial_to_run()
    for name, need in trial.needs.items():
        needed = runs.folder(need)
        if not needed.exists():
            raise DescriptionError(
                f"{trial.experiment}/{trial.name}: what it needs as {name!r} ({need[:SHOWN_DIGITS]}) has no folder "
                "any more; run its description again"
            )
        _add(needed, runs, ordered)
    ordered[folder.signature] = trial


def _entry(trial: Trial, chosen: Chosen | None, owners: Mapping[tuple[str, str], str]) -> Entry:
    """Return the request for a trial under the name it has; a name that went over to a later trial stays there."""
    experiment, name = chosen.name.split("/", 1) if chosen else (trial.experiment, trial.name)
    if owners.get((experiment, name), trial.signature) != trial.signature:
        name = f"{name}~{trial.short}"
    return Entry(
        experiment,
        trial.variant,
        name,
        trial.seed,
        trial.point,
        trial.tags,
        trial.signature,
        requested=chosen is not None,
    )
