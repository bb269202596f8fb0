"""Annotation tables and class images made from published files of another layout, as the published program makes them.

Light on purpose (no torch, no pandas). Whatever appears under its own name is complete: files are written beside it and
renamed, the table last, so that a table that is there has all its class images. Several processes may make the same
table at once; one of them works and the others wait.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from os2d.data.images import read_image
from os2d.errors import DataError
from os2d.whole_file import whole_file

logger = logging.getLogger(__name__)


class MadeBox(NamedTuple):
    """One row; coordinates are relative to the image, ``gtbboxid`` is the position in the table."""

    imageid: int
    imagefilename: str
    classid: int
    classfilename: str
    difficult: int
    lx: float
    ty: float
    rx: float
    by: float


def ensure_table(table: Path, columns: Iterable[str], make: Callable[[], Iterable[MadeBox]]) -> None:
    """Make a table unless it is there.

    Args:
        table: the CSV file.
        columns: the columns of :class:`MadeBox` and ``gtbboxid``, in the order of the published program.
        make: writes the class images and returns the rows.

    Raises:
        DataError: the folder cannot be written, or whatever ``make`` finds wrong.
    """
    if table.is_file():
        return
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(table.with_name(f".{table.name}.lock")):
            if not table.is_file():
                logger.info("%s is not there; making it once from the published files", table)
                boxes = list(make())
                if not boxes:
                    raise DataError(f"{table}: the published files hold no box for it; fetch them again")
                with whole_file(table) as unfinished:
                    _write(unfinished, list(columns), boxes)
                logger.info("%s: wrote %d boxes", table, len(boxes))
    except OSError as e:
        raise DataError(
            f"{table}: cannot be made from the published files: {e.strerror or e}; its folder must be writable the "
            "first time the data set is used, and needs some free space"
        ) from e


def _write(path: Path, columns: list[str], boxes: list[MadeBox]) -> None:
    """Write what pandas writes for the same rows: a first column without a name counts them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["", *columns])
        for number, box in enumerate(boxes):
            values = {**box._asdict(), "gtbboxid": number}
            writer.writerow([number, *(values[column] for column in columns)])


def save_crop(photo: Path, box_xyxy: Iterable[float], file: Path) -> None:
    """Cut a class image out of a photo, in the format of the file name.

    Raises:
        DataError: the photo cannot be read, or the box holds no pixel.
    """
    left, top, right, bottom = (float(v) for v in box_xyxy)
    image = read_image(photo)
    if round(right) <= round(left) or round(bottom) <= round(top):
        raise DataError(f"{photo}: the box of the query, {left:g} {top:g} {right:g} {bottom:g}, holds no pixel")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file, ending=file.suffix) as unfinished:
            image.crop((left, top, right, bottom)).save(unfinished)
    except (OSError, ValueError) as e:
        raise DataError(f"{file}: cannot write the class image: {e}") from e
