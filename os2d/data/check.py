"""Everything that is wrong with the files of a data set, and not only the first thing.

Light on purpose (no torch, no pandas).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from os2d.data.annotation import Annotation, BoxRow, box_problem, rules_of, scan_rows, select_rows
from os2d.data.catalog import DatasetSource, advice, find_dataset
from os2d.data.images import loaded_size, read_image, read_image_size
from os2d.data.preparation import prepare
from os2d.data.published_sizes import SetSize, size_problem
from os2d.errors import DataError
from os2d.structures.sizes import Size

READERS = 4
"""Threads that open images."""


@dataclass(frozen=True)
class Finding:
    """Something about a data set.

    Args:
        where: the file, with the line where there is one.
        what: what is wrong with it and what to do.
        is_problem: False for what is unusual but does no harm.
    """

    where: str
    what: str
    is_problem: bool = True


@dataclass
class CheckedDataset:
    """What a check found out.

    Args:
        name: as it was asked for.
        size: None: nothing could be read.
        findings: in the order of the files.
    """

    name: str
    size: SetSize | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def problems(self) -> list[Finding]:
        """What must be mended."""
        return [f for f in self.findings if f.is_problem]


def check_dataset(name: str, data_root: Path, *, deep: bool) -> CheckedDataset:
    """Return all that is wrong with a data set; one that is to be drawn or converted is made first.

    Args:
        name: of a data set, or ``custom:FOLDER``.
        data_root: folder of the named data sets.
        deep: decode every image to its end; otherwise read their headers.
    """
    checked = CheckedDataset(name)
    try:
        source = find_dataset(name, data_root)
        prepare(source, data_root)
        checked.findings += _missing_folders(source)
        rows, wrong_rows = _read_table(source)
        checked.findings += [_finding(source.annotation, error) for error in wrong_rows]
        annotation = select_rows(source, rows)
    except DataError as e:
        checked.findings.append(_finding(Path(), e))
        return checked
    checked.size = SetSize.of(annotation)
    problem = size_problem(source.name, checked.size)
    if problem:
        checked.findings.append(Finding(str(source.annotation), f"{problem.partition(': ')[2]}: rows are missing"))
    if not annotation.rows:
        checked.findings.append(Finding(str(source.annotation), "no box belongs to this data set"))
    checked.findings += _wrong_boxes(source, annotation)
    checked.findings += _wrong_images(source, annotation, deep)
    return checked


def _read_table(source: DatasetSource) -> tuple[list[BoxRow], list[DataError]]:
    if not source.annotation.exists():
        get = "" if source.own else f"; {advice(source.name)}"
        raise DataError(f"{source.annotation}: no such annotation file{get}")
    return scan_rows(source.annotation, rules_of(source))


def _missing_folders(source: DatasetSource) -> Iterator[Finding]:
    for folder, holds in ((source.images, "the images"), (source.class_images, "the class images")):
        if folder is not None and not folder.is_dir():
            yield Finding(str(folder), f"no such folder; it holds {holds}")


def _wrong_boxes(source: DatasetSource, annotation: Annotation) -> Iterator[Finding]:
    """Yield what is unusual in a published table; in the user's own it is an error when it is read."""
    if source.own:
        return
    for row in annotation.rows:
        problem = box_problem(row)
        if problem:
            yield Finding(f"{source.annotation}, line {row.line}", f"{problem} (as published)", is_problem=False)


def _wrong_images(source: DatasetSource, annotation: Annotation, deep: bool) -> Iterator[Finding]:
    first_row: dict[int, BoxRow] = {}
    first_of_class: dict[int, BoxRow] = {}
    for row in annotation.rows:
        first_row.setdefault(row.imageid, row)
        first_of_class.setdefault(row.classid, row)
    photos = [(source.images / f, _line(source, first_row.get(i))) for i, f in annotation.file_of_image.items()]
    class_images = [
        (source.class_images / row.classfilename, _line(source, row))
        for _, row in sorted(first_of_class.items())
        if source.class_images is not None
    ]
    results = list(_open_all(photos + class_images, deep))
    yield from (result for result in results if isinstance(result, Finding))
    sizes = [result for result in results[: len(photos)] if isinstance(result, Size)]
    resized = sum(loaded_size(size, source.nominal_size) != size for size in sizes)
    if resized:
        yield Finding(
            str(source.images),
            f"{resized} of {len(photos)} images have a longer side other than {source.nominal_size} and are resized "
            "each time they are loaded",
            is_problem=False,
        )


def _open_all(files: Iterable[tuple[Path, str]], deep: bool) -> Iterator[Size | Finding]:
    """Yield the size of every image, or what is wrong with it, in order."""
    with ThreadPoolExecutor(READERS) as pool:
        yield from pool.map(partial(_open, deep=deep), files)


def _open(file: tuple[Path, str], deep: bool) -> Size | Finding:
    path, named_by = file
    try:
        return Size.of_image(read_image(path)) if deep else read_image_size(path)
    except DataError as e:
        finding = _finding(path, e)
        return Finding(finding.where, f"{finding.what} (named by {named_by})")


def _line(source: DatasetSource, row: BoxRow | None) -> str:
    return str(source.annotation) if row is None else f"{source.annotation}, line {row.line}"


def _finding(path: Path, error: DataError) -> Finding:
    """Return an error as a finding; its message starts with the place."""
    where, separator, what = str(error).partition(": ")
    return Finding(where, what) if separator else Finding(str(path), where)
