"""Annotation tables: one CSV row per box, checked when it is read.

Light on purpose (no torch, no pandas), so that a plan already fails on a bad row. Line numbers are those of a text
editor.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from os2d.data.catalog import DatasetSource
from os2d.errors import DataError

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


def read_annotation(source: DatasetSource) -> Annotation:
    """Return the rows and images that belong to a data set.

    Raises:
        DataError: the table is unreadable, a row is wrong, or the wanted split does not exist.
    """
    rows = read_rows(source.annotation)
    if source.splits:
        _check_splits(source, rows)
    listed = source.image_splits or source.splits
    file_of_image = {row.imageid: row.imagefilename for row in rows if not listed or row.split in listed}
    image_ids = list(file_of_image)[: source.first_images]
    kept = set(image_ids)
    rows = [r for r in rows if r.imageid in kept and (not source.splits or r.split in source.splits)]
    if source.none_difficult:
        rows = [r._replace(difficult=False) for r in rows]
    return Annotation(rows, image_ids, {i: file_of_image[i] for i in image_ids})


def read_rows(path: Path) -> list[BoxRow]:
    """Return every row of a CSV file, checked.

    Raises:
        DataError: naming the file, the line, the value, and what was expected.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = _columns(path, next(reader, []))
            rows = [_row(path, reader.line_num, columns, values) for values in reader if values]
    except FileNotFoundError:
        raise DataError(f"{path}: no such annotation file") from None
    except OSError as e:
        raise DataError(f"{path}: cannot read the annotation file: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise DataError(f"{path}: is not UTF-8 text ({e.reason}); save the table as UTF-8 CSV") from e
    except csv.Error as e:
        raise DataError(f"{path}, line {reader.line_num}: is not a CSV table: {e}") from e
    if not rows:
        raise DataError(f"{path}: holds no boxes; expected one row per box below the header")
    _check_one_file_per_id(path, rows)
    return rows


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    columns = {name.strip(): i for i, name in enumerate(header)}
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        raise DataError(
            f"{path}, line 1: column {missing[0]!r} is missing; expected the columns {','.join(REQUIRED_COLUMNS)} "
            f"separated by commas, found {','.join(header) or 'an empty file'}"
        )
    return columns


def _row(path: Path, line: int, columns: dict[str, int], values: list[str]) -> BoxRow:
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
        _check_stays_inside(path, line, column, text)
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
        classfilename=file_name("classfilename", f"{class_id}.jpg"),
        gtbboxid=whole("gtbboxid"),
        difficult=bool(difficult),
        lx=number("lx"),
        ty=number("ty"),
        rx=number("rx"),
        by=number("by"),
        split=values[columns["split"]].strip() if "split" in columns else "",
    )
    _check_box(path, row)
    return row


def _check_box(path: Path, row: BoxRow) -> None:
    for column in ("lx", "ty", "rx", "by"):
        value = getattr(row, column)
        if not -OUTSIDE_TOLERANCE <= value <= 1 + OUTSIDE_TOLERANCE:
            raise DataError(
                f"{path}, line {row.line}: {column}: {value:g} lies outside the image; coordinates are relative to its "
                "width and height, from 0 to 1"
            )
    for low, high in (("lx", "rx"), ("ty", "by")):
        first, last = getattr(row, low), getattr(row, high)
        if last <= first:
            raise DataError(
                f"{path}, line {row.line}: the box is reversed or empty: {low}={first:g} must be less than "
                f"{high}={last:g}"
            )


def _check_stays_inside(path: Path, line: int, column: str, name: str) -> None:
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if not name or posix.is_absolute() or windows.anchor or ".." in windows.parts or "\0" in name:
        raise DataError(
            f"{path}, line {line}: {column}: {name!r} is not a file inside the image folder; give a name relative to it"
        )


def _check_one_file_per_id(path: Path, rows: Iterable[BoxRow]) -> None:
    for id_column, file_column in (("imageid", "imagefilename"), ("classid", "classfilename")):
        seen: dict[int, BoxRow] = {}
        for row in rows:
            first = seen.setdefault(getattr(row, id_column), row)
            name, first_name = getattr(row, file_column), getattr(first, file_column)
            if name != first_name:
                raise DataError(
                    f"{path}, line {row.line}: {id_column} {getattr(row, id_column)} has {file_column} {name!r}, but "
                    f"{first_name!r} in line {first.line}; one id names one file"
                )


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
