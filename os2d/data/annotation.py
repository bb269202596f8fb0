"""Annotation tables: one CSV row per box, checked when it is read.

Light on purpose (no torch, no pandas), so that a plan already fails on a bad row. Line numbers are those of a text
editor.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from os2d.data.catalog import ClassPart, DatasetSource, advice
from os2d.errors import DataError

logger = logging.getLogger(__name__)

REQUIRED_COLUMNS = ("imageid", "classid", "gtbboxid", "difficult", "lx", "ty", "rx", "by")
OUTSIDE_TOLERANCE = 1e-3  # of the image side; annotation tools round


class BoxRow(NamedTuple):
    """One annotated box; coordinates are relative to the width and height of its image."""

    line: int
    imageid: int
    imagefilename: str
    classid: int
    classfilename: str
    gtbboxid: int
    difficult: bool
    lx: float
    ty: float
    rx: float
    by: float
    split: str


@dataclass(frozen=True)
class Annotation:
    """The rows of one data set and the ids of its images, in the order of their first appearance."""

    rows: Sequence[BoxRow]
    image_ids: Sequence[int]
    file_of_image: dict[int, str]
    """Image id -> file name, for every listed image, also one without a box of this data set."""


@dataclass(frozen=True)
class TableRules:
    """What a table must satisfy beyond being readable.

    Args:
        boxes_inside: every box lies in its image and has an area.
        class_files: every row names the file of its class.
    """

    boxes_inside: bool = True
    class_files: bool = True


def read_annotation(source: DatasetSource) -> Annotation:
    """Return the rows and images that belong to a data set.

    Raises:
        DataError: the table is unreadable, a row is wrong, or the wanted split does not exist.
    """
    if not source.own and not source.annotation.exists():
        raise DataError(f"{source.annotation}: no such annotation file; {advice(source.name)}")
    return select_rows(source, read_rows(source.annotation, rules_of(source)))


def rules_of(source: DatasetSource) -> TableRules:
    """Return what the table of a data set must satisfy.

    The boxes of published tables are taken as they are: results could not be compared otherwise.
    """
    return TableRules(boxes_inside=source.own, class_files=source.class_images is not None)


def select_rows(source: DatasetSource, rows: list[BoxRow]) -> Annotation:
    """Return those rows of a table that belong to a data set, and their images.

    Raises:
        DataError: the wanted split does not exist, or more boxes are wanted than there are.
    """
    if source.splits:
        _check_splits(source, rows)
    if source.class_part is not None:
        rows = _of_classes(source.class_part, rows)
    if source.spread_boxes is not None:
        rows = _spread(source, rows, source.spread_boxes)
    listed = source.image_splits or source.splits
    file_of_image = {row.imageid: row.imagefilename for row in rows if not listed or row.split in listed}
    image_ids = list(file_of_image)[: source.first_images]
    kept = set(image_ids)
    rows = [r for r in rows if r.imageid in kept and (not source.splits or r.split in source.splits)]
    if source.none_difficult:
        rows = [r._replace(difficult=False) for r in rows]
    return Annotation(rows, image_ids, {i: file_of_image[i] for i in image_ids})


def read_rows(path: Path, rules: TableRules | None = None) -> list[BoxRow]:
    """Return every row of a CSV file, checked.

    Raises:
        DataError: naming the file, the line, the value, and what was expected.
    """
    rules = rules or TableRules()
    rows, problems = scan_rows(path, rules)
    if problems:
        raise problems[0]
    if not rules.boxes_inside:
        outside = sum(box_problem(row) is not None for row in rows)
        if outside:
            logger.info("%s: %d of %d boxes are empty or reach out of their image", path, outside, len(rows))
    return rows


def scan_rows(path: Path, rules: TableRules) -> tuple[list[BoxRow], list[DataError]]:
    """Return the good rows of a CSV file and an error for each of the others.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    rows: list[BoxRow] = []
    problems: list[DataError] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = _columns(path, next(reader, []))
            for values in filter(None, reader):
                try:
                    rows.append(_row(path, reader.line_num, columns, values, rules))
                except DataError as problem:
                    problems.append(problem)
    except FileNotFoundError:
        raise DataError(f"{path}: no such annotation file") from None
    except OSError as e:
        raise DataError(f"{path}: cannot read the annotation file: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise DataError(f"{path}: is not UTF-8 text ({e.reason}); save the table as UTF-8 CSV") from e
    except csv.Error as e:
        raise DataError(f"{path}, line {reader.line_num}: is not a CSV table: {e}") from e
    if not rows and not problems:
        raise DataError(f"{path}: holds no boxes; expected one row per box below the header")
    return rows, problems + _ids_with_two_files(path, rows)


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    columns = {name.strip(): i for i, name in enumerate(header)}
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        raise DataError(
            f"{path}, line 1: column {missing[0]!r} is missing; expected the columns {','.join(REQUIRED_COLUMNS)} "
            f"separated by commas, found {','.join(header) or 'an empty file'}"
        )
    return columns


def _row(path: Path, line: int, columns: dict[str, int], values: list[str], rules: TableRules) -> BoxRow:
    if len(values) != len(columns):
        raise DataError(f"{path}, line {line}: expected {len(columns)} values as in the header, found {len(values)}")

    def number(column: str) -> float:
        text = values[columns[column]].strip()
        try:
            return float(text)
        except ValueError:
            raise DataError(f"{path}, line {line}: {column}: expected a number, got {text!r}") from None

    def whole(column: str) -> int:
        value = number(column)
        if not value.is_integer():
            text = values[columns[column]]
            raise DataError(f"{path}, line {line}: {column}: expected a whole number, got {text!r}")
        return int(value)

    def file_name(column: str, default: str) -> str:
        text = values[columns[column]].strip() if column in columns else default
        if not is_inside(text):
            raise DataError(
                f"{path}, line {line}: {column}: {text!r} is not a file inside the image folder; give a name relative "
                "to it"
            )
        return text

    image_id, class_id, difficult = whole("imageid"), whole("classid"), whole("difficult")
    if difficult not in (0, 1):
        raise DataError(f"{path}, line {line}: difficult: expected 0 or 1, got {difficult}")
    if class_id < 0:
        raise DataError(f"{path}, line {line}: classid: expected a number of at least 0, got {class_id}")
    row = BoxRow(
        line=line,
        imageid=image_id,
        imagefilename=file_name("imagefilename", f"{image_id}.jpg"),
        classid=class_id,
        classfilename=file_name("classfilename", f"{class_id}.jpg") if rules.class_files else "",
        gtbboxid=whole("gtbboxid"),
        difficult=bool(difficult),
        lx=number("lx"),
        ty=number("ty"),
        rx=number("rx"),
        by=number("by"),
        split=values[columns["split"]].strip() if "split" in columns else "",
    )
    problem = box_problem(row) if rules.boxes_inside or not all(map(isfinite, row[7:11])) else None
    if problem:
        raise DataError(f"{path}, line {line}: {problem}")
    return row


def box_problem(row: BoxRow) -> str | None:
    """Return what is wrong with a box, or None: it lies in its image and has an area."""
    for column, value in (("lx", row.lx), ("ty", row.ty), ("rx", row.rx), ("by", row.by)):
        if not -OUTSIDE_TOLERANCE <= value <= 1 + OUTSIDE_TOLERANCE:
            return (
                f"{column}: {value:g} lies outside the image; coordinates are relative to its width and height, from "
                "0 to 1"
            )
    for low, high, first, last in (("lx", "rx", row.lx, row.rx), ("ty", "by", row.ty, row.by)):
        if last <= first:
            return f"the box is reversed or empty: {low}={first:g} must be less than {high}={last:g}"
    return None


def is_inside(name: str) -> bool:
    """Return whether a name is that of a file in a folder, on any operating system."""
    if not name or "\0" in name:
        return False
    if name[0] not in "/\\" and ":" not in name and ".." not in name:  # spares building paths for most names
        return True
    windows = PureWindowsPath(name)
    return not PurePosixPath(name).is_absolute() and not windows.anchor and ".." not in windows.parts


def _ids_with_two_files(path: Path, rows: Iterable[BoxRow]) -> list[DataError]:
    problems = []
    for id_column, file_column in (("imageid", "imagefilename"), ("classid", "classfilename")):
        seen: dict[int, BoxRow] = {}
        for row in rows:
            first = seen.setdefault(getattr(row, id_column), row)
            name, first_name = getattr(row, file_column), getattr(first, file_column)
            if name != first_name:
                problems.append(
                    DataError(
                        f"{path}, line {row.line}: {id_column} {getattr(row, id_column)} has {file_column} {name!r}, "
                        f"but {first_name!r} in line {first.line}; one id names one file"
                    )
                )
    return problems


def _of_classes(part: ClassPart, rows: list[BoxRow]) -> list[BoxRow]:
    names = list(dict.fromkeys(row.classfilename for row in rows if part.name_contains in row.classfilename))
    start, stop = (len(names) * percent // 100 for percent in (part.start_percent, part.stop_percent))
    kept = set(names[start:stop])
    return [row for row in rows if row.classfilename in kept]


def _spread(source: DatasetSource, rows: list[BoxRow], count: int) -> list[BoxRow]:
    if count > len(rows):
        raise DataError(f"data set {source.name!r}: {source.annotation} holds only {len(rows)} boxes, not {count}")
    return rows[:: len(rows) // count][:count]


def _check_splits(source: DatasetSource, rows: Sequence[BoxRow]) -> None:
    existing = sorted({row.split for row in rows})
    missing = [s for s in source.splits if s not in existing]
    if missing and existing == [""]:
        raise DataError(
            f"{source.annotation}: split {missing[0]!r} was asked for, but the table has no column 'split'; add it, or "
            "use the data set without #SPLIT"
        )
    if missing:
        found = ", ".join(map(repr, existing))
        raise DataError(f"{source.annotation}: no row has split {missing[0]!r}; column 'split' holds {found}")
