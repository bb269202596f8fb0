"""The table that every sweep has without describing one: its best trials, by the metric."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from orchestration.describe import Column, Sweep, Table
from orchestration.plan import Plan
from orchestration.sweep_settings import sweeps_of
from orchestration.tables.build import build_table
from orchestration.tables.contract import Source
from orchestration.tables.result import TableResult

MOST_ROWS = 10


def sweep_tables(plan: Plan, source: Source) -> list[TableResult]:
    """Return a table for each sweep that is asked for and that no described table is about."""
    described = {name for table in plan.tables for name in table.experiment_names}
    requested = {entry.experiment for entry in plan.entries if entry.requested}
    return [
        sweep_table(sweep, plan, source) for sweep in sweeps_of(plan.experiments) if sweep.name in requested - described
    ]


def sweep_table(sweep: Sweep, plan: Plan, source: Source) -> TableResult:
    """Return the best points of a sweep, the best one first; pruned trials are counted, never shown."""
    lowest = sweep.mode == "min"
    column = Column(sweep.metric, sweep.metric, digits=4, lower_is_better=lowest)
    title = f"{sweep.name}: {'lowest' if lowest else 'highest'} {sweep.metric}"
    table = build_table(Table(f"{sweep.name}-best", title, sweep.name, [column]), plan, source)
    ranked = sorted(
        ((cells[0].mean, row, cells) for row, cells in zip(table.rows, table.cells, strict=True) if cells[0].n),
        key=lambda ranked: (ranked[0] or 0.0) * (1 if lowest else -1),
    )[:MOST_ROWS]
    states = Counter(cells[0].state for cells in table.cells)
    told = ", ".join(f"{count} {state}" for state, count in states.items())
    left = plan.open_points.get(sweep.name, 0)
    return replace(
        table,
        rows=tuple(row for _, row, _ in ranked),
        cells=tuple(cells for _, _, cells in ranked),
        caption=f"{len(table.rows)} points: {told}" + (f"; {left} more to choose" if left else ""),
    )
