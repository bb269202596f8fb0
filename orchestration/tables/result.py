"""A table that was built: what every format and every reader of a table gets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from orchestration.describe_tables import Published

CellState = Literal[
    "done",
    "partial",
    "running",
    "failed",
    "planned",
    "blocked",
    "queued",
    "cancelled",
    "lost",
    "pruned",
    "unknown",
    "unfilled",
    "not applicable",
]


CellJson = dict[str, object]
"""One cell as programs read it; docs/experiments.md lists the keys."""


@dataclass(frozen=True)
class ColumnHead:
    """How the cells of a column are written. ``digits`` counts those behind the decimal point.

    Args:
        title: the head.
        digits: behind the decimal point.
        lower_is_better: which value is the best.
        group: the head above, shared with neighbours.
        over: what a mean is over: ``seeds``, or ``values`` of a pooled metric.
        statistic: ``mean``, or what else is taken of the pooled values.
    """

    title: str
    digits: int = 1
    lower_is_better: bool = False
    group: str = ""
    over: str = "seeds"
    statistic: str = "mean"

    @property
    def name(self) -> str:
        """What the column is called where its group is not in sight."""
        return f"{self.group} {self.title}" if self.group else self.title


@dataclass(frozen=True)
class Cell:
    """Mean and sample standard deviation over the seeds of one row, in the column's unit.

    Args:
        row: the title of the row.
        column: the name of the column.
        mean: None when there is no value yet.
        std: None below two values.
        n: how many seeds the mean is over.
        state: ``done`` when all seeds are in, ``partial`` when some are, else why there is no value.
        wanted: how many seeds were asked for.
        reason: says in words what is missing; empty when nothing is.
        signatures: the trials behind the cell.
        by_seed: what comparisons are paired by; empty when the values are of something else than seeds.
        published: what a publication says.
        see: where a publication says it, when ``published`` does not.
        p: of the test that the row is as good as the best one of the column.
        compared_with: the title of that row.
        address: of the page that shows the trials.
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
    by_seed: tuple[tuple[int, float], ...] = ()
    published: Published | None = None
    see: str = ""
    p: float | None = None
    compared_with: str = ""
    address: str = field(default="", compare=False)

    @property
    def difference(self) -> float | None:
        """Ours minus the published value."""
        if self.mean is None or self.published is None or self.published.value is None:
            return None
        return self.mean - self.published.value


@dataclass(frozen=True)
class TableResult:
    """A table: ``cells[i][j]`` belongs to ``rows[i]`` and ``columns[j]``.

    Args:
        name: of the table.
        title: one line above it.
        rows: their titles, which name them in notes and lists.
        columns: their heads.
        cells: row by row.
        caption: text below it.
        warnings: what a reader should not miss.
        heads: of the columns that hold ``labels``; none shows the titles of the rows.
        labels: title of a row -> the texts that are shown instead of it.
        unit: of the values.
        incomparable: titles of rows that are never the best.
    """

    name: str
    title: str
    rows: tuple[str, ...]
    columns: tuple[ColumnHead, ...]
    cells: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    warnings: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unit: str = ""
    incomparable: frozenset[str] = frozenset()

    @property
    def stub_heads(self) -> tuple[str, ...]:
        """The heads of what says which row it is."""
        return self.heads or ("",)

    def stub(self, row: str) -> tuple[str, ...]:
        """Return what says which row it is."""
        return self.labels[row] if self.heads else (row,)

    def as_json(self) -> list[CellJson]:
        """Return the cells, row by row; a value that is not a finite number is null."""
        return [self._cell_json(cell, head) for row in self.cells for cell, head in zip(row, self.columns, strict=True)]

    def best(self) -> frozenset[tuple[int, int]]:
        """Return (row, column) of the best complete cell of each column; all of them when they are written alike.

        A column with a single complete cell has no best one.
        """
        return frozenset(place for j in range(len(self.columns)) for place in self._best_of_column(j))

    def rivals(self, j: int) -> dict[int, Cell]:
        """Return row -> cell for the complete cells of a column that may be compared."""
        return {
            i: row[j]
            for i, row in enumerate(self.cells)
            if row[j].state == "done" and row[j].mean is not None and self.rows[i] not in self.incomparable
        }

    def gaps(self) -> list[str]:
        """Return one line for each distinct reason why cells are incomplete, naming the cells."""
        columns_by_reason: dict[tuple[str, str], list[str]] = {}
        for row in self.cells:
            for cell in row:
                if cell.reason:
                    in_one_line = " ".join(cell.reason.split())
                    columns_by_reason.setdefault((cell.row, in_one_line), []).append(cell.column)
        rows_by_gap: dict[tuple[tuple[str, ...], str], list[str]] = {}
        for (title, reason), columns in columns_by_reason.items():
            where = () if len(columns) == len(self.columns) else tuple(columns)
            rows_by_gap.setdefault((where, reason), []).append(title)
        return [
            f"{', '.join([self._named(rows), *columns])}: {reason}" for (columns, reason), rows in rows_by_gap.items()
        ]

    def _named(self, rows: Sequence[str]) -> str:
        return "every row" if len(rows) == len(self.rows) > 2 else "; ".join(rows)

    def _best_of_column(self, j: int) -> Sequence[tuple[int, int]]:
        head = self.columns[j]
        written = {i: round(cell.mean or 0.0, head.digits) for i, cell in self.rivals(j).items()}
        if len(written) < 2:
            return []
        best = min(written.values()) if head.lower_is_better else max(written.values())
        return [(i, j) for i, value in written.items() if value == best]

    def _cell_json(self, cell: Cell, head: ColumnHead) -> CellJson:
        published = cell.published if cell.published and cell.published.value is not None else Published(None)
        always: CellJson = {
            "table": self.name,
            "row": cell.row,
            "column": cell.column,
            "mean": _finite(cell.mean),
            "std": _finite(cell.std) if cell.n > 1 else None,
            "n": cell.n,
            "state": cell.state,
        }
        where_it_says_something: CellJson = {
            "wanted": cell.wanted if cell.state == "partial" and cell.wanted else None,
            "over": head.over if head.over != "seeds" else None,
            "statistic": head.statistic if head.statistic != "mean" else None,
            "reason": cell.reason or None,
            "published": published.value,
            "published_source": published.source or None,
            "published_note": published.note or None,
            "published_status": published.status if published.value is not None else None,
            "published_given_in": published.given_in or None,
            "difference": _finite(cell.difference),
            "see": cell.see or None,
            "p": cell.p,
            "compared_with": cell.compared_with or None,
            "address": cell.address or None,
        }
        return always | {key: value for key, value in where_it_says_something.items() if value is not None}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
