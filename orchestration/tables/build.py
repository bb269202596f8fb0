"""Tables over seeds, read from MLflow or from the trial folders: both give the same cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from orchestration.describe_tables import Column, Table
from orchestration.plan import Plan
from orchestration.table_lines import Line
from orchestration.tables.cells import fill_cell
from orchestration.tables.contract import Source, TrialResults
from orchestration.tables.result import Cell, ColumnHead, TableResult
from orchestration.tables.significance import with_significance
from orchestration.tables.standings import Standing, standings, with_needs


def build_table(table: Table, plan: Plan, source: Source) -> TableResult:
    """Return the table with every cell filled as far as results exist.

    Raises:
        DescriptionError: the table names an experiment, a row or a cell that the plan does not have.
    """
    lines = plan.lines_of(table)
    needed = with_needs((trial for line in lines for trial in line.trials), plan)
    found = source.results(list(needed.values()))
    states = standings(needed, found)
    result = TableResult(
        name=table.name,
        title=table.title,
        rows=tuple(line.row.title for line in lines),
        columns=tuple(map(_head, table.columns)),
        cells=tuple(
            tuple(_cell(table, line, j, found, states, source) for j in range(len(table.columns))) for line in lines
        ),
        caption=table.caption,
        warnings=tuple(_mixed_code(lines, found)),
        heads=tuple(table.heads),
        labels={line.row.title: tuple(line.row.labels) for line in lines if table.heads},
        unit=table.unit,
        incomparable=frozenset(line.row.title for line in lines if not line.row.comparable),
    )
    return with_significance(result)


def _head(column: Column) -> ColumnHead:
    return ColumnHead(
        column.title,
        column.digits,
        column.lower_is_better,
        column.group,
        over="values" if column.is_pooled else "seeds",
        statistic=column.statistic,
    )


def _cell(
    table: Table,
    line: Line,
    j: int,
    found: Mapping[str, TrialResults],
    states: Mapping[str, Standing],
    source: Source,
) -> Cell:
    column, trials, row = table.columns[j], line.cells[j], line.row
    if column.name in row.not_applicable:
        reason = row.not_applicable[column.name]
        return Cell(row.title, column.name, None, None, 0, "not applicable", reason=reason)
    if row.unfilled:
        cell = Cell(row.title, column.name, None, None, 0, "unfilled", reason=row.unfilled)
    else:
        cell = fill_cell(row.title, column, trials, found, states)
    published = table.published.get((row.title, column.name))
    return replace(
        cell,
        published=published,
        see="" if published else table.published_in,
        address=source.address(cell.signatures),
    )


def _mixed_code(lines: Sequence[Line], found: Mapping[str, TrialResults]) -> Iterable[str]:
    for line in lines:
        codes = {found[trial.signature].code for trial in line.trials if trial.signature in found} - {""}
        if len(codes) > 1:
            told = ", ".join(sorted(code[:10] + code[40:] for code in codes))
            yield f"{line.row.title}: its trials ran different code ({told})"
