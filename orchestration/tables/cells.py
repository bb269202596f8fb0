"""One cell of a table from the results of its trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestration.describe_tables import Column
from orchestration.tables.contract import TrialResults
from orchestration.tables.pooling import matching_names
from orchestration.tables.reduction import Spread, spread_of
from orchestration.tables.result import Cell, CellState
from orchestration.tables.standings import Standing
from orchestration.tracking.metric_names import mlflow_name
from orchestration.trial_description import Trial

WORST_FIRST: tuple[CellState, ...] = (
    "running",
    "queued",
    "failed",
    "lost",
    "unknown",
    "cancelled",
    "blocked",
    "planned",
    "done",
)
"""What is told of a cell without values: the first of these that one of its trials is in."""


@dataclass
class _Tally:
    """What the trials of a cell gave, in the column's unit, and which of them gave nothing."""

    trials: Sequence[Trial]
    values: list[float] = field(default_factory=list)
    by_seed: list[tuple[int, float]] = field(default_factory=list)
    missing: list[tuple[CellState, str]] = field(default_factory=list)
    not_finite: int = 0


def fill_cell(
    row: str,
    column: Column,
    trials: Sequence[Trial],
    found: Mapping[str, TrialResults],
    states: Mapping[str, Standing],
) -> Cell:
    """Return the cell; trials that a scheduler pruned are left out of it."""
    counted = [trial for trial in trials if states[trial.signature][0] != "pruned"]
    take = _take_pooled if column.is_pooled else _take_one
    tally = _Tally(counted)
    for trial in counted:
        state, reason = states[trial.signature]
        if state == "done":
            take(tally, trial, column, found[trial.signature])
        else:
            tally.missing.append((state, reason))
    wanted = _wanted(column, counted)
    spread = spread_of(tally.values, column.statistic)
    return Cell(
        row=row,
        column=column.name,
        mean=spread.mean,
        std=spread.std,
        n=spread.n,
        state=_state(tally, wanted),
        wanted=wanted,
        reason=_reason(tally, column, spread, wanted, len(trials) - len(counted)),
        signatures=tuple(trial.signature for trial in trials),
        by_seed=tuple(tally.by_seed),
    )


def _take_one(tally: _Tally, trial: Trial, column: Column, results: TrialResults) -> None:
    value = results.value(column)
    if value is None:
        tally.missing.append(("done", _why_no_number(column, results)))
    else:
        tally.values.append(value * column.scale)
        tally.by_seed.append((trial.seed, value * column.scale))


def _take_pooled(tally: _Tally, trial: Trial, column: Column, results: TrialResults) -> None:
    names = matching_names(column.metric, results.metric_names)
    if not names:
        tally.missing.append(("done", _not_logged(column.metric, results)))
    for name in names:
        value = results.value(replace(column, metric=name, values=None, statistic="mean"))
        if value is None:
            tally.not_finite += 1
        else:
            tally.values.append(value * column.scale)


def _wanted(column: Column, counted: Sequence[Trial]) -> int:
    """Return how many values a full cell has; 0 when nobody can tell."""
    if not column.is_pooled:
        return len(counted)
    return (column.values or 0) * len({trial.seed for trial in counted})


def _state(tally: _Tally, wanted: int) -> CellState:
    if not tally.trials:
        return "pruned"
    if not tally.missing and not tally.not_finite and len(tally.values) >= wanted:
        return "done"
    if tally.values:
        return "partial"
    states = [state for state, _ in tally.missing] or ["done"]
    return next(state for state in WORST_FIRST if state in states)


def _reason(tally: _Tally, column: Column, spread: Spread, wanted: int, pruned: int) -> str:
    if not tally.trials:
        return "every trial was pruned"
    told: list[str] = []
    if column.is_pooled and wanted and spread.n < wanted:
        told.append(f"{spread.n} of {wanted} values")
    if tally.not_finite:
        told.append(f"{tally.not_finite} without a finite number")
    if tally.missing:
        told.append(_told_missing(tally, "trials" if column.is_pooled else "seeds"))
    if pruned:
        told.append(f"{pruned} pruned and not counted")
    return "; ".join(told)


def _told_missing(tally: _Tally, what: str) -> str:
    counts = Counter(state for state, _ in tally.missing)
    states = ", ".join(
        f"{count} {state}" if state != "done" else f"{count} without a number" for state, count in counts.items()
    )
    reasons = sorted({reason for _, reason in tally.missing if reason})
    first = f" ({reasons[0]})" if reasons else ""
    have = len(tally.trials) - len(tally.missing)
    return f"{have} of {len(tally.trials)} {what}, {states}{first}"


def _why_no_number(column: Column, results: TrialResults) -> str:
    stored = set(map(mlflow_name, results.metric_names))
    for name in (column.metric, column.selection):
        if name is not None and mlflow_name(name) not in stored:
            return _not_logged(name, results)
    return f"metric {column.metric!r} has no finite number"


def _not_logged(name: str, results: TrialResults) -> str:
    logged = ", ".join(sorted(results.metric_names)[:8]) or "none"
    return f"metric {name!r} was not logged; logged were: {logged}"
