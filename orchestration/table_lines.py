"""The rows of a table with the trials of each cell, as the description selects them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestration.describe_tables import Column, Row, Table
from orchestration.errors import DescriptionError
from orchestration.trial_description import Trial


@dataclass(frozen=True)
class Line:
    """A row with its trials: ``cells[j]`` holds those of ``table.columns[j]``, none where there is nothing to fill."""

    row: Row
    cells: tuple[tuple[Trial, ...], ...]

    @property
    def trials(self) -> list[Trial]:
        """Every trial of the row, each once."""
        return list({trial.signature: trial for trials in self.cells for trial in trials}.values())


def lines_of(table: Table, trials: Sequence[Trial]) -> list[Line]:
    """Return the rows of a table over these trials of its experiments.

    Raises:
        DescriptionError: there is a cell that no trial, or that several configurations would fill.
    """
    if table.rows is None:
        return [
            Line(Row(title), tuple(_cell(Row(title), column, own, table) for column in table.columns))
            for title, own in _by_setting(trials, several=len(table.experiment_names) > 1).items()
        ]
    return [_line(row, trials, table) for row in table.rows]


def setting_title(trial: Trial) -> str:
    """Return what a trial is called apart from its seed: the variant and the point of the space."""
    return ", ".join([trial.variant, *(f"{key.rpartition('.')[2]}={value}" for key, value in trial.point.items())])


def _by_setting(trials: Iterable[Trial], several: bool) -> Mapping[str, Sequence[Trial]]:
    by_title: dict[str, list[Trial]] = {}
    for trial in trials:
        setting = setting_title(trial)
        by_title.setdefault(f"{trial.experiment}: {setting}" if several else setting, []).append(trial)
    return by_title


def _line(row: Row, trials: Sequence[Trial], table: Table) -> Line:
    if row.unfilled:
        return Line(row, tuple(() for _ in table.columns))
    of_row = [trial for trial in trials if _selects(row, trial)]
    if not of_row:
        variants = ", ".join(dict.fromkeys(trial.variant for trial in trials))
        raise DescriptionError(
            f"table {table.name!r}: row {row.title!r} matches no trial; the variants are: {variants}"
        )
    cells: list[tuple[Trial, ...]] = []
    for column in table.columns:
        matching = () if column.name in row.not_applicable else _cell(row, column, of_row, table)
        cells.append(_of_one_configuration(row, column, matching, table))
    return Line(row, tuple(cells))


def _cell(row: Row, column: Column, of_row: Sequence[Trial], table: Table) -> tuple[Trial, ...]:
    matching = tuple(trial for trial in of_row if _selects(column, trial))
    if not matching:
        names = ", ".join(f"{trial.experiment}/{trial.name}" for trial in of_row[:4])
        raise DescriptionError(
            f"table {table.name!r}: row {row.title!r}, column {column.name!r}: no trial of the row is of the column; "
            f"the row has: {names}; where nothing belongs there, say so: not_applicable={{{column.name!r}: reason}}"
        )
    return matching


def _of_one_configuration(row: Row, column: Column, matching: tuple[Trial, ...], table: Table) -> tuple[Trial, ...]:
    groups = {trial.group for trial in matching}
    if len(groups) > 1 and not column.is_pooled:
        names = ", ".join(sorted({trial.name for trial in matching})[:4])
        raise DescriptionError(
            f"table {table.name!r}: row {row.title!r} matches {len(groups)} different configurations ({names}, ...); "
            "a mean is only over seeds of one: narrow the row by variant, experiment, tags or point, "
            "or the column by variant, experiment or tags"
        )
    return matching


def _selects(asked: Row | Column, trial: Trial) -> bool:
    return (
        asked.variant in (None, trial.variant)
        and asked.experiment in (None, trial.experiment)
        and all(trial.tags.get(key) == value for key, value in asked.tags.items())
        and (isinstance(asked, Column) or all(_has(trial, key, value) for key, value in asked.point.items()))
    )


def _has(trial: Trial, key: str, value: object) -> bool:
    return key in trial.point and trial.point[key] == value
