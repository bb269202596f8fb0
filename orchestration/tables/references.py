"""Published values that a reader with the paper at hand typed in: a CSV file with one line per cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from orchestration.describe_tables import Published, Table
from orchestration.errors import DescriptionError
from orchestration.plan import Plan

FIELDS = ("table", "row", "column", "value", "source")

Place = tuple[str, str]
"""The title of a row and the name of a column."""


def reference_template(plan: Plan) -> str:
    """Return a file to fill in: every cell of the tables, with the values that are known already."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(FIELDS)
    for table in plan.tables:
        for row, column in _places(table, plan):
            known = table.published.get((row, column), Published(None))
            value = "" if known.value is None else known.value
            writer.writerow([table.name, row, column, value, known.source or table.published_in])
    return stream.getvalue()


def with_references(plan: Plan, file: Path) -> Plan:
    """Return the plan with the values of a file in its tables, marked as the reader's.

    A line without a value is left out, and so is one that says what the description says.

    Raises:
        DescriptionError: a line cannot be used; the message names it.
    """
    tables = {table.name: table for table in plan.tables}
    places = {name: dict.fromkeys(_places(table, plan)) for name, table in tables.items()}
    found: dict[str, dict[Place, Published]] = {name: {} for name in tables}
    for where, fields in _lines(file):
        table = _known(where, "table", fields["table"], tables)
        row = _known(where, "row", fields["row"], dict.fromkeys(place[0] for place in places[table]))
        column = _known(where, "column", fields["column"], dict.fromkeys(place[1] for place in places[table]))
        if (row, column) not in places[table]:
            raise DescriptionError(f"{where}: row {row!r} has nothing in column {column!r}; remove the line")
        if (row, column) in found[table]:
            raise DescriptionError(f"{where}: this cell was given before; remove one of the lines")
        if fields["value"]:
            found[table][row, column] = _published(where, fields, file)
    return replace(plan, tables=tuple(_merged(table, found[table.name]) for table in plan.tables))


def _merged(table: Table, found: Mapping[Place, Published]) -> Table:
    news = {
        place: published
        for place, published in found.items()
        if (known := table.published.get(place)) is None
        or (known.value, known.source) != (published.value, published.source)
    }
    return replace(table, published={**table.published, **news})


def _places(table: Table, plan: Plan) -> Iterator[Place]:
    for line in plan.lines_of(table):
        for column in table.columns:
            if column.name not in line.row.not_applicable:
                yield line.row.title, column.name


def _lines(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield where a line is, and its fields."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DescriptionError(
            f"{file}: cannot be read as text ({error}); write one with --reference-template"
        ) from error
    reader = csv.reader(io.StringIO(text))
    head = [field.strip() for field in next(reader, [])]
    if head != list(FIELDS):
        raise DescriptionError(
            f"{file}, line 1: expected the fields {','.join(FIELDS)}, got {','.join(head) or 'nothing'}; "
            "--reference-template writes such a file"
        )
    for fields in reader:
        where = f"{file}, line {reader.line_num}"
        if fields and len(fields) != len(FIELDS):
            raise DescriptionError(
                f"{where}: expected {len(FIELDS)} fields ({','.join(FIELDS)}), got {len(fields)}; "
                "put a text with a comma in quotes"
            )
        if fields:
            yield where, dict(zip(FIELDS, map(str.strip, fields), strict=True))


def _known(where: str, kind: str, name: str, known: Mapping[str, object] | Sequence[str]) -> str:
    if name in known:
        return name
    close = get_close_matches(name, list(known), n=1)
    told = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
    raise DescriptionError(f"{where}: there is no {kind} {name!r}; {told}")


def _published(where: str, fields: Mapping[str, str], file: Path) -> Published:
    try:
        value = float(fields["value"])
    except ValueError:
        raise DescriptionError(f"{where}: value: expected a number such as 88.7, got {fields['value']!r}") from None
    try:
        return Published(value, fields["source"], given_in=file.name)
    except DescriptionError as error:
        raise DescriptionError(f"{where}: {error}") from None
