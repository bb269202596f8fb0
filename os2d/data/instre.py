"""INSTRE: boxes and class images from ``gnd_instre.mat`` and the text file beside every photo.

The data set has three parts. Photos of INSTRE-S1 and INSTRE-S2 show one class, those of INSTRE-M one class ``a`` and
one class ``b`` of INSTRE-S1; the first line of their text file is the box of ``a``, the second that of ``b``. A query
is a photo and a box in it; it becomes a class, and its positives become the images of this class.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from os2d.data.annotation import is_inside
from os2d.data.generated_table import MadeBox, ensure_table, save_crop
from os2d.data.images import read_image_size
from os2d.errors import DataError

logger = logging.getLogger(__name__)

GROUND_TRUTH = "gnd_instre.mat"
COLUMNS = (
    *("gtbboxid", "classid", "classfilename", "imageid", "imagefilename", "difficult"),
    *("lx", "ty", "rx", "by"),
)
S1, S2, M = "instre-s1", "instre-s2", "instre-m"
LINE_OF_KIND = {"a": 0, "b": 1}
"""Third letter of a class folder of INSTRE-S1 -> line of its box in the photos of INSTRE-M."""


@dataclass(frozen=True)
class Query:
    """One line of the ground truth.

    Args:
        photo: path below the data set.
        box_xyxy: the object in it, in pixels.
        positives: positions in the list of photos, from 0.
    """

    photo: str
    box_xyxy: tuple[float, float, float, float]
    positives: list[int]


def ensure_instre(folder: Path, table: Path) -> None:
    """Make the table and the class images of all queries unless the table is there.

    Raises:
        DataError: a file is missing, or does not hold what the published one does.
    """
    ensure_table(table, COLUMNS, lambda: _boxes(folder, table.parent / "images"))


def _boxes(folder: Path, class_images: Path) -> Iterator[MadeBox]:
    queries, photos = read_ground_truth(folder / GROUND_TRUTH)
    boxes_of = PhotoBoxes(folder)
    for class_id, query in enumerate(queries):
        if _part(query.photo) == M:
            continue  # its box holds both objects, so it shows no single class
        class_file = f"{class_id:05d}_{query.photo.replace('/', '_')}"
        save_crop(folder / query.photo, query.box_xyxy, class_images / class_file)
        for image_id in query.positives:
            for lx, ty, rx, by in boxes_of.positive(query.photo, photos[image_id]):
                yield MadeBox(image_id, photos[image_id], class_id, class_file, 0, lx, ty, rx, by)
        if (class_id + 1) % 100 == 0:
            logger.info("INSTRE: converted %d of %d queries", class_id + 1, len(queries))


def read_ground_truth(path: Path) -> tuple[list[Query], list[str]]:
    """Return the queries and the paths of all photos.

    Raises:
        DataError: the file is missing or does not hold ``qimlist``, ``imlist`` and ``gnd``.
    """
    found = _load_matlab(path)
    try:
        photos = [_text(cell) for cell in found["imlist"].flatten()]
        names = [_text(cell) for cell in found["qimlist"].flatten()]
        truths = list(found["gnd"].flatten())
        queries = [_query(path, name, truth, photos) for name, truth in zip(names, truths, strict=True)]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as e:
        raise DataError(
            f"{path}: expected the lists qimlist and imlist of paths and gnd with positives and a box per query, as in "
            f"the published file; reading them gave {type(e).__name__}: {e}"
        ) from e
    wrong = next((name for name in names + photos if not is_inside(name)), None)
    if wrong is not None:
        raise DataError(f"{path}: {wrong!r} is not a path inside {path.parent}")
    return queries, photos


def _load_matlab(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat  # needed for this data set only, once

    if not path.is_file():
        raise DataError(
            f"{path}: no such file; it lists the queries of INSTRE and comes with oneshot data fetch instre"
        )
    try:
        return dict(loadmat(path))
    except MemoryError:
        raise
    except Exception as e:  # a damaged file raises anything
        raise DataError(f"{path}: is not a MATLAB file as published ({e}); fetch it again") from e


def _text(cell: Any) -> str:
    return str(cell[0])


def _query(path: Path, name: str, truth: Any, photos: list[str]) -> Query:
    positives, box = (np.asarray(truth[k]).flatten() for k in (0, 1))
    if len(box) != 4:
        raise ValueError(f"a box of {len(box)} numbers for the query {name}")
    image_ids = [int(number) - 1 for number in positives]  # MATLAB counts from 1
    outside = next((i for i in image_ids if not 0 <= i < len(photos)), None)
    if outside is not None:
        raise DataError(
            f"{path}: the query {name} has positive number {outside + 1}, but there are {len(photos)} photos"
        )
    left, top, right, bottom = (float(v) for v in box)
    return Query(name, (left, top, right, bottom), image_ids)


@dataclass
class PhotoBoxes:
    """The boxes in the photos of a folder; every text file is read once."""

    folder: Path
    _known: dict[str, list[tuple[float, float, float, float]]] = field(default_factory=dict)

    def positive(self, query: str, photo: str) -> list[tuple[float, float, float, float]]:
        """Return the boxes of the class of a query in one of its positives, relative to the photo.

        Raises:
            DataError: the photo cannot show the class, or its text file is not as published.
        """
        boxes, parts = self._boxes(photo), (_part(query), _part(photo))
        if parts in ((S1, S1), (S2, S2)):
            return boxes
        if parts != (S1, M):
            raise DataError(
                f"{self.folder / GROUND_TRUTH}: the photo {photo} cannot be a positive of the query {query}; positives "
                "are of the same part, or of INSTRE-M for INSTRE-S1"
            )
        if len(boxes) != 2:
            raise DataError(
                f"{_text_file(self.folder, photo)}: expected two boxes of a photo of INSTRE-M, found {len(boxes)}"
            )
        class_folder = (*PurePosixPath(query).parts, "")[1]
        if class_folder[2:3] not in LINE_OF_KIND:
            raise DataError(
                f"{self.folder / GROUND_TRUTH}: expected a or b as the third letter of the class folder of the query "
                f"{query}, which has positives in INSTRE-M"
            )
        return [boxes[LINE_OF_KIND[class_folder[2]]]]

    def _boxes(self, photo: str) -> list[tuple[float, float, float, float]]:
        if photo not in self._known:
            self._known[photo] = self._read(photo)
        return self._known[photo]

    def _read(self, photo: str) -> list[tuple[float, float, float, float]]:
        path = _text_file(self.folder, photo)
        try:
            lines = path.read_text(encoding="ascii").splitlines()
            corners_and_sizes = [[int(v) for v in line.split()] for line in lines if line.strip()]
            size = read_image_size(self.folder / photo)
            return [_relative(x / size.w, y / size.h, w / size.w, h / size.h) for x, y, w, h in corners_and_sizes]
        except OSError as e:
            raise DataError(f"{path}: cannot read the boxes of {photo}: {e.strerror}") from e
        except ValueError as e:
            raise DataError(f"{path}: expected lines of four whole numbers, x y width height ({e})") from e


def _relative(left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
    return left, top, left + width, top + height


def _text_file(folder: Path, photo: str) -> Path:
    return folder / (photo.partition(".")[0] + ".txt")


def _part(path: str) -> str:
    """Return the part of the data set a photo belongs to, such as ``instre-s1``."""
    return PurePosixPath(path).parts[0].lower()
