"""What a user writes about tables: columns, rows, and the numbers that were published elsewhere.

::

    Table(
        name="retail",
        title="mAP@0.50 on the retail sets",
        experiment=[ours, baseline],
        rows=[Row("OS2D", tags={"system": "os2d"}), Row("baseline", tags={"system": "detret"})],
        columns=[
            Column("dairy", "mAP@0.50_dairy", scale=100, tags={"data": "dairy"}),
            Column("paste", "mAP@0.50_paste", scale=100, tags={"data": "paste"}),
        ],
    )

The trials of a cell are those that its row and its column both select.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from orchestration.errors import DescriptionError
from orchestration.field_checks import require, require_distinct, require_each, require_mapping, require_name


@runtime_checkable
class Described(Protocol):
    """An experiment, told from other objects without its module, which imports this one."""

    @property
    def name(self) -> str:
        """Unique in a file."""

    @property
    def task(self) -> str:
        """What it runs."""

    @property
    def seeds(self) -> Sequence[int]:
        """What it is run with."""


@dataclass(frozen=True)
class Published:
    """What a publication says about a cell.

    Args:
        value: in the unit of the column; None when it is known that nothing was published.
        source: where the value was read.
        note: what a reader should know about it.
        status: ``verified`` was read as it is here; ``cross-checked`` follows from what was read elsewhere.
        given_in: the file of whoever added it; empty when the description has it.
    """

    value: float | None
    source: str = ""
    note: str = ""
    status: Literal["verified", "cross-checked"] = "verified"
    given_in: str = ""

    def __post_init__(self) -> None:
        require("Published", "value", self.value, (int, float, type(None)), "a number")
        if self.value is not None and (not math.isfinite(self.value) or not self.source):
            raise DescriptionError(f"Published({self.value!r}): expected a finite number and the source it was read in")


@dataclass(frozen=True)
class Column:
    """One metric of a table.

    Args:
        title: the head of the column.
        metric: the name it was logged under. With ``*``, which stands for any text, all metrics that match are pooled,
            over all trials of the cell: such as the episodes of several jobs.
        reduce: which step counts.
        scale: the value is multiplied by this: 100 for percent.
        digits: behind the decimal point.
        lower_is_better: which value is set in bold.
        selection: choose the step by this metric instead, e.g. the validation metric.
        group: the head above this one and its neighbours of the same group.
        variant: the trials' variant, when the row does not say it.
        experiment: the trials' experiment.
        tags: all of them must be equal.
        statistic: of the pooled values.
        values: how many a full cell pools for each seed; None when that is not known beforehand.
    """

    title: str
    metric: str
    reduce: Literal["last", "first", "max", "min"] = "last"
    scale: float = 1.0
    digits: int = 1
    lower_is_better: bool = False
    selection: str | None = None
    group: str = ""
    variant: str | None = None
    experiment: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    statistic: Literal["mean", "max", "min"] = "mean"
    values: int | None = None

    def __post_init__(self) -> None:
        require("Column", "title", self.title, str, "a text")
        place = f"column {self.title!r}"
        require(place, "metric", self.metric, str, "the name of a metric")
        require_mapping(place, "tags", self.tags, str, "a text", "tag")
        if self.reduce not in ("last", "first", "max", "min"):
            raise DescriptionError(f"{place}: reduce: expected last, first, max or min, got {self.reduce!r}")
        if self.statistic not in ("mean", "max", "min"):
            raise DescriptionError(f"{place}: statistic: expected mean, max or min, got {self.statistic!r}")
        if not self.is_pooled and (self.values is not None or self.statistic != "mean"):
            raise DescriptionError(f"{place}: values and statistic are of pooled metrics; {self.metric!r} has no *")

    @property
    def name(self) -> str:
        """What the column is called where its group is not in sight."""
        return f"{self.group} {self.title}" if self.group else self.title

    @property
    def is_pooled(self) -> bool:
        """Tell whether the column takes several metrics of a trial together."""
        return "*" in self.metric


@dataclass(frozen=True)
class Row:
    """One row of a table: the trials that match everything given.

    Args:
        title: the name of the row, and its head unless the table has several.
        variant: the variant's name.
        experiment: the experiment's name, where a table has several.
        tags: all of them must be equal.
        point: dotted configuration key -> value, where the experiment has a space.
        labels: the texts below the table's ``heads``.
        comparable: False keeps the row out of the search for the best: it measures something else.
        unfilled: why no experiment fills the row; then it selects nothing.
        not_applicable: column -> why the row has nothing there.
    """

    title: str
    variant: str | None = None
    experiment: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    point: Mapping[str, Any] = field(default_factory=dict)
    labels: Sequence[str] = ()
    comparable: bool = True
    unfilled: str = ""
    not_applicable: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require("Row", "title", self.title, str, "a text")
        place = f"row {self.title!r}"
        require_mapping(place, "tags", self.tags, str, "a text", "tag")
        require_mapping(place, "point", self.point)
        require_mapping(place, "not_applicable", self.not_applicable, str, "a reason", "column")
        object.__setattr__(self, "labels", require_each(place, "labels", self.labels, str, "text"))


@dataclass(frozen=True)
class Table:
    """A table over the seeds of an experiment's variants.

    Args:
        name: unique in a file.
        title: one line above the table.
        experiment: an experiment or several, as objects or names.
        columns: the metrics.
        rows: None makes one row per variant and point, in the order of the description.
        caption: text below the table.
        heads: of the columns that hold the rows' ``labels``; none shows the rows' titles.
        unit: of the values, told once for the whole table.
        published: (row, column) -> what was published; a column in a group is called ``"<group> <title>"``.
        published_in: where the cells that are not in ``published`` can be looked up, such as ``Table 3 of ...``.
    """

    name: str
    title: str
    experiment: Described | str | Sequence[Described | str]
    columns: Sequence[Column]
    rows: Sequence[Row] | None = None
    caption: str = ""
    heads: Sequence[str] = ()
    unit: str = ""
    published: Mapping[tuple[str, str], Published] = field(default_factory=dict)
    published_in: str = ""

    def __post_init__(self) -> None:
        require_name("Table", self.name)
        place = f"table {self.name!r}"
        require_each(place, "experiment", self.experiments, (str, Described), "Experiment or name")
        object.__setattr__(self, "columns", require_each(place, "columns", self.columns, Column, "Column"))
        object.__setattr__(self, "heads", require_each(place, "heads", self.heads, str, "text"))
        require_distinct(f"{place}: columns", [column.name for column in self.columns])
        if self.rows is not None:
            object.__setattr__(self, "rows", require_each(place, "rows", self.rows, Row, "Row"))
            require_distinct(f"{place}: rows", [row.title for row in self.rows])
            self._require_rows(place, self.rows)

    @property
    def experiments(self) -> Sequence[Described | str]:
        """The experiments, in order, as they were given."""
        return [self.experiment] if isinstance(self.experiment, str | Described) else self.experiment

    @property
    def experiment_names(self) -> tuple[str, ...]:
        """The names of the experiments, in order."""
        return tuple(one if isinstance(one, str) else one.name for one in self.experiments)

    def _require_rows(self, place: str, rows: Sequence[Row]) -> None:
        columns = {column.name for column in self.columns}
        for row in rows:
            if len(row.labels) != len(self.heads):
                raise DescriptionError(
                    f"{place}: row {row.title!r}: labels: expected {len(self.heads)} as there are heads, "
                    f"got {len(row.labels)}"
                )
            for column in row.not_applicable:
                _require_known(f"{place}: row {row.title!r}: not_applicable", "column", column, columns)
        for row_title, column in self.published:
            _require_known(f"{place}: published", "row", row_title, {row.title for row in rows})
            _require_known(f"{place}: published", "column", column, columns)


def _require_known(place: str, kind: str, name: str, known: set[str]) -> None:
    if name not in known:
        raise DescriptionError(f"{place}: there is no {kind} {name!r}; the table has: {', '.join(sorted(known))}")
