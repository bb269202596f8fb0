"""Tables over seeds, read from MLflow or from the trial folders: both give the same cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestration.describe import Column, Row, Table
from orchestration.errors import DescriptionError
from orchestration.plan import Plan, Trial
from orchestration.tables.reduction import spread_over_seeds
from orchestration.tables.result import Cell, CellState, ColumnHead, TableResult
from orchestration.tracking.metric_names import mlflow_name


class TrialResults(Protocol):
    """What a source knows of one trial."""

    @property
    def state(self) -> CellState:
        """The state of the trial."""

    @property
    def reason(self) -> str:
        """Why it is in that state, in words; may be empty."""

    @property
    def code(self) -> str:
        """The code tree its last attempt ran, or an empty text when unknown."""

    @property
    def metric_names(self) -> Sequence[str]:
        """The metrics that it logged."""

    def value(self, column: Column) -> float | None:
        """Return the column's metric reduced over steps, unscaled; None when there is no number."""


class Source(Protocol):
    """Where results are read."""

    def results(self, trials: Sequence[Trial]) -> Mapping[str, TrialResults]:
        """Return signature -> results for the trials that were started at least once."""


@dataclass(frozen=True)
class _Line:
    title: str
    trials: tuple[Trial, ...]


def build_table(table: Table, plan: Plan, source: Source) -> TableResult:
    """Return the table with every cell filled as far as results exist.

    Raises:
        DescriptionError: the table names an experiment or a row that the plan does not have.
    """
    lines = _lines(table, plan)
    wanted = {trial.signature: trial for line in lines for trial in line.trials}
    needed = _with_needs(wanted, plan)
    found = source.results(list(needed.values()))
    states = _states(needed, found)
    cells = tuple(tuple(_cell(line, column, found, states) for column in table.columns) for line in lines)
    return TableResult(
        name=table.name,
        title=table.title,
        rows=tuple(line.title for line in lines),
        columns=tuple(ColumnHead(column.title, column.digits, column.lower_is_better) for column in table.columns),
        cells=cells,
        caption=table.caption,
        warnings=tuple(_mixed_code(lines, found)),
    )


def setting_title(trial: Trial) -> str:
    """Return what a trial is called apart from its seed: the variant and the point of the space."""
    return ", ".join([trial.variant, *(f"{key.rpartition('.')[2]}={value}" for key, value in trial.point.items())])


def _lines(table: Table, plan: Plan) -> list[_Line]:
    trials: list[Trial] = []
    for name in table.experiment_names:
        of_experiment = plan.trials_of(name)
        if not of_experiment:
            known = ", ".join(sorted({entry.experiment for entry in plan.entries if entry.requested}))
            raise DescriptionError(f"table {table.name!r}: there is no experiment {name!r}; the file has: {known}")
        trials += of_experiment
    if table.rows is None:
        return _line_per_setting(trials, several=len(table.experiment_names) > 1)
    return [_Line(row.title, _matching(row, trials, table)) for row in table.rows]


def _line_per_setting(trials: Iterable[Trial], several: bool) -> list[_Line]:
    by_title: dict[str, list[Trial]] = {}
    for trial in trials:
        setting = setting_title(trial)
        by_title.setdefault(f"{trial.experiment}: {setting}" if several else setting, []).append(trial)
    return [_Line(title, tuple(group)) for title, group in by_title.items()]


def _matching(row: Row, trials: Sequence[Trial], table: Table) -> tuple[Trial, ...]:
    matching = tuple(
        trial
        for trial in trials
        if row.variant in (None, trial.variant)
        and row.experiment in (None, trial.experiment)
        and all(trial.tags.get(key) == value for key, value in row.tags.items())
        and all(key in trial.point and trial.point[key] == value for key, value in row.point.items())
    )
    if not matching:
        variants = ", ".join(dict.fromkeys(trial.variant for trial in trials))
        raise DescriptionError(
            f"table {table.name!r}: row {row.title!r} matches no trial; the variants are: {variants}"
        )
    groups = {trial.group for trial in matching}
    if len(groups) > 1:
        names = ", ".join(sorted({trial.name for trial in matching})[:4])
        raise DescriptionError(
            f"table {table.name!r}: row {row.title!r} matches {len(groups)} different configurations ({names}, ...); "
            "a mean is only over seeds of one: narrow the row by variant, experiment, tags or point"
        )
    return matching


def _with_needs(wanted: Mapping[str, Trial], plan: Plan) -> dict[str, Trial]:
    by_signature = {trial.signature: trial for trial in plan.trials}
    needed = dict(wanted)
    open_ = list(wanted.values())
    while open_:
        for signature in open_.pop().needs.values():
            if signature not in needed and signature in by_signature:
                needed[signature] = by_signature[signature]
                open_.append(by_signature[signature])
    return needed


def _states(trials: Mapping[str, Trial], found: Mapping[str, TrialResults]) -> dict[str, tuple[CellState, str]]:
    """Return signature -> state and reason; a trial that was never started is blocked when what it needs failed."""
    states: dict[str, tuple[CellState, str]] = {}

    def judge(signature: str) -> tuple[CellState, str]:
        if signature not in states:
            states[signature] = _state(trials[signature])
        return states[signature]

    def _state(trial: Trial) -> tuple[CellState, str]:
        results = found.get(trial.signature)
        if results is not None and results.state not in ("planned", "queued", "blocked"):
            return results.state, results.reason
        for signature in trial.needs.values():
            if signature in trials and judge(signature)[0] in ("failed", "blocked", "cancelled", "pruned"):
                return "blocked", f"needs {trials[signature].name}, which is {judge(signature)[0]}"
        if results is not None and results.state == "queued":
            return "queued", results.reason
        return "planned", ""

    for signature in trials:
        judge(signature)
    return states


def _cell(
    line: _Line, column: Column, found: Mapping[str, TrialResults], states: Mapping[str, tuple[CellState, str]]
) -> Cell:
    counted = [trial for trial in line.trials if states[trial.signature][0] != "pruned"]
    values: list[float] = []
    missing: list[tuple[Trial, CellState, str]] = []
    for trial in counted:
        state, reason = states[trial.signature]
        value = found[trial.signature].value(column) if state == "done" else None
        if value is not None:
            values.append(value * column.scale)
        else:
            missing.append(
                (trial, state, _why_no_number(column, found[trial.signature]) if state == "done" else reason)
            )
    spread = spread_over_seeds(values)
    return Cell(
        row=line.title,
        column=column.title,
        mean=spread.mean,
        std=spread.std,
        n=spread.n,
        state=_cell_state(len(values), len(counted), [state for _, state, _ in missing]),
        wanted=len(counted),
        reason=_reason(len(values), len(counted), missing, len(line.trials) - len(counted)),
        signatures=tuple(trial.signature for trial in line.trials),
    )


def _cell_state(have: int, wanted: int, missing: Sequence[CellState]) -> CellState:
    if wanted == 0:
        return "pruned"
    if have == wanted:
        return "done"
    if have > 0:
        return "partial"
    order: tuple[CellState, ...] = (
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
    return next(state for state in order if state in missing)


def _reason(have: int, wanted: int, missing: Sequence[tuple[Trial, CellState, str]], pruned: int) -> str:
    if wanted == 0:
        return "every trial was pruned"
    left_out = f"{pruned} pruned and not counted" if pruned else ""
    if not missing:
        return left_out
    reasons = {reason for _, _, reason in missing if reason}
    counts = Counter(state for _, state, _ in missing)
    told = ", ".join(
        f"{count} {state}" if state != "done" else f"{count} without a number" for state, count in counts.items()
    )
    first = f" ({sorted(reasons)[0]})" if reasons else ""
    return "; ".join(filter(None, (f"{have} of {wanted} seeds, {told}{first}", left_out)))


def _why_no_number(column: Column, results: TrialResults) -> str:
    stored = set(map(mlflow_name, results.metric_names))
    for name in (column.metric, column.selection):
        if name is not None and mlflow_name(name) not in stored:
            logged = ", ".join(sorted(results.metric_names)[:8]) or "none"
            return f"metric {name!r} was not logged; logged were: {logged}"
    return f"metric {column.metric!r} has no finite number"


def _mixed_code(lines: Sequence[_Line], found: Mapping[str, TrialResults]) -> Iterable[str]:
    for line in lines:
        codes = {found[trial.signature].code for trial in line.trials if trial.signature in found} - {""}
        if len(codes) > 1:
            told = ", ".join(sorted(code[:10] + code[40:] for code in codes))
            yield f"{line.title}: its trials ran different code ({told})"
