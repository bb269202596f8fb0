"""A table that was built: what every format and every reader of a table gets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

CellState = Literal[
    "done", "partial", "running", "failed", "planned", "blocked", "queued", "cancelled", "lost", "pruned", "unknown"
]


class CellJson(TypedDict):
    """One cell as programs read it."""

    table: str
    row: str
    column: str
    mean: float | None
    std: float | None
    n: int
    state: CellState


@dataclass(frozen=True)
class ColumnHead:
    """How the cells of a column are written. ``digits`` counts those behind the decimal point."""

    title: str
    digits: int = 1
    lower_is_better: bool = False


@dataclass(frozen=True)
class Cell:
    """Mean and sample standard deviation over the seeds of one row, in the column's unit.

    Args:
        row: the title of the row.
        column: the title of the column.
        mean: None when there is no value yet.
        std: None below two values.
        n: how many seeds the mean is over.
        state: ``done`` when all seeds are in, ``partial`` when some are, else why there is no value.
        wanted: how many seeds were asked for.
        reason: says in words what is missing; empty when nothing is.
        signatures: the trials behind the cell.
    """

    row: str
    column: str
    mean: float | None
    std: float | None
    n: int
    state: CellState
    wanted: int = 0
    reason: str = ""
    signatures: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableResult:
    """A table: ``cells[i][j]`` belongs to ``rows[i]`` and ``columns[j]``."""

    name: str
    title: str
    rows: tuple[str, ...]
    columns: tuple[ColumnHead, ...]
    cells: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    warnings: tuple[str, ...] = field(default=())

    def as_json(self) -> list[CellJson]:
        """Return the cells, row by row; a value that is not a finite number is null."""
        return [
            CellJson(
                table=self.name,
                row=cell.row,
                column=cell.column,
                mean=_finite(cell.mean),
                std=_finite(cell.std) if cell.n > 1 else None,
                n=cell.n,
                state=cell.state,
            )
            for row in self.cells
            for cell in row
        ]

    def best(self) -> frozenset[tuple[int, int]]:
        """Return (row, column) of the best complete cell of each column; all of them when they are written alike.

        A column with a single complete cell has no best one.
        """
        return frozenset(place for j in range(len(self.columns)) for place in self._best_of_column(j))

    def gaps(self) -> list[str]:
        """Return one line for each distinct reason why cells are incomplete, naming the cells."""
        cells_by_reason: dict[tuple[str, str], list[str]] = {}
        for row in self.cells:
            for cell in row:
                if cell.reason:
                    in_one_line = " ".join(cell.reason.split())
                    cells_by_reason.setdefault((cell.row, in_one_line), []).append(cell.column)
        every = len(self.columns)
        return [
            f"{row}: {reason}" if len(columns) == every else f"{row}, {', '.join(columns)}: {reason}"
            for (row, reason), columns in cells_by_reason.items()
        ]

    def _best_of_column(self, j: int) -> Sequence[tuple[int, int]]:
        head = self.columns[j]
        written = {
            i: round(row[j].mean or 0.0, head.digits)
            for i, row in enumerate(self.cells)
            if row[j].state == "done" and row[j].mean is not None
        }
        if len(written) < 2:
            return []
        best = min(written.values()) if head.lower_is_better else max(written.values())
        return [(i, j) for i, value in written.items() if value == best]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
