"""Reading annotation files in COCO's format, with messages that name what is wrong in them.

Columns are checked whole; only a file that turned out wrong is searched for the entry.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from baselines.onenet.data.catalog import DatasetSource, advice
from baselines.onenet.data.coco_dataset import CocoDataset
from os2d.errors import DataError
from os2d.structures.sizes import Size

Entry = dict[str, Any]


def read_coco(source: DatasetSource) -> CocoDataset:
    """Return the data set of an annotation file; no image is opened.

    Raises:
        DataError: the file is missing, is no such file, or an entry is wrong; the message names its id.
    """
    content = _content(source)
    images = _Table(source.annotations, "image", content["images"])
    categories = _Table(source.annotations, "category", content["categories"])
    annotations = _Table(source.annotations, "annotation", content["annotations"])
    image_ids, category_ids = images.ids(), categories.ids()
    if not image_ids:
        raise DataError(f"{source.annotations}: 'images' is empty; expected at least one image")
    if not category_ids:
        raise DataError(f"{source.annotations}: 'categories' is empty; expected at least one class")
    image_order, category_order = np.argsort(image_ids), np.argsort(category_ids)
    names, sizes, class_names = images.texts("file_name"), _sizes(images), categories.texts("name")
    image_N = annotations.references("image_id", np.asarray(image_ids)[image_order].tolist(), "images")
    class_N = annotations.references("category_id", np.asarray(category_ids)[category_order].tolist(), "categories")
    boxes_N4, ids = _boxes(annotations), annotations.ids()
    crowd_N = annotations.flags("iscrowd")
    if (ignored := annotations.flags("ignore")).any():
        raise annotations.error(
            int(ignored.argmax()), "'ignore' is not a key of COCO; mark regions that do not count by iscrowd 1"
        )
    grouped = np.argsort(image_N, kind="stable")
    return CocoDataset(
        source=source,
        category_ids=[category_ids[k] for k in category_order],
        class_names=[class_names[k] for k in category_order],
        image_ids=[image_ids[k] for k in image_order],
        file_names=[names[k] for k in image_order],
        sizes=[sizes[k] for k in image_order],
        annotation_ids_N=np.asarray(ids, dtype=np.int64)[grouped],
        classes_N=class_N[grouped],
        boxes_xywh_N4=boxes_N4[grouped],
        areas_N=_areas(annotations, boxes_N4)[grouped],
        is_crowd_N=crowd_N[grouped],
        first_I1=np.concatenate([[0], np.cumsum(np.bincount(image_N, minlength=len(image_ids)))]),
    )


def unreadable(source: DatasetSource, error: OSError) -> DataError:
    """Return what to say when an annotation file cannot be read."""
    if isinstance(error, FileNotFoundError):
        steps = f"; {advice(source)}" if source.is_published else ""
        return DataError(f"{source.annotations}: no such annotation file{steps}")
    return DataError(f"{source.annotations}: cannot be read: {error.strerror}")


def _content(source: DatasetSource) -> Entry:
    path = source.annotations
    try:
        content: Entry = json.loads(path.read_bytes())
    except OSError as e:
        raise unreadable(source, e) from e
    except ValueError as e:
        raise DataError(f"{path}: is not JSON: {e}; the file is damaged or incomplete, get it again") from e
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(f"{path}: expected an object with the lists images, annotations and categories; no {key!r}")
    return content


@dataclass(frozen=True)
class _Table:
    """One list of an annotation file.

    Args:
        path: of the file.
        kind: what an entry is.
        entries: of the list.
    """

    path: Path
    kind: str
    entries: Sequence[Any]

    def error(self, position: int, problem: str) -> DataError:
        """Return the error of one entry."""
        entry = self.entries[position]
        known = isinstance(entry, dict) and "id" in entry
        return DataError(
            f"{self.path}: {self.kind} {entry['id']!r}: {problem}" if known else self._nameless(position, problem)
        )

    def _nameless(self, position: int, problem: str) -> str:
        return f"{self.path}: {self.kind} at position {position} of the list: {problem}"

    def column(self, key: str, is_good: Callable[[Any], bool], expected: str) -> list[Any]:
        """Return a value of every entry."""
        for position, entry in enumerate(self.entries):
            if not isinstance(entry, dict):
                raise self.error(position, f"expected an object, got {entry!r}")
            if key not in entry:
                raise self.error(position, f"has no {key!r}; expected {expected}")
            if not is_good(entry[key]):
                raise self.error(position, f"{key}: expected {expected}, got {entry[key]!r}")
        return [entry[key] for entry in self.entries]

    def ids(self) -> list[int]:
        """Return the ids, which differ from each other."""
        ids = self.column("id", _is_whole, "a whole number")
        if len(set(ids)) < len(ids):
            twice, times = Counter(ids).most_common(1)[0]
            raise DataError(f"{self.path}: {self.kind} {twice}: the id occurs {times} times; give each its own")
        return ids

    def texts(self, key: str) -> list[str]:
        """Return a text of every entry."""
        return self.column(key, lambda value: isinstance(value, str) and bool(value), "a text")

    def references(self, key: str, known: Sequence[int], where: str) -> npt.NDArray[np.int64]:
        """Return the positions of what the entries refer to."""
        position_of = {id: position for position, id in enumerate(known)}
        values = self.column(key, _is_whole, "a whole number")
        positions = np.asarray([position_of.get(value, -1) for value in values], dtype=np.int64)
        if (positions < 0).any():
            stranger = int((positions < 0).argmax())
            raise self.error(stranger, f"{key} {values[stranger]} is not among the ids of {where!r}")
        return positions

    def flags(self, key: str) -> npt.NDArray[np.bool_]:
        """Return a 0 or 1 of every entry; 0 where there is none."""
        values = [entry.get(key, 0) for entry in self.entries]
        for position, value in enumerate(values):
            if value not in (0, 1):
                raise self.error(position, f"{key}: expected 0 or 1, got {value!r}")
        return np.asarray(values, dtype=bool)


def _sizes(images: _Table) -> list[Size]:
    sides = [
        images.column(key, lambda v: _is_whole(v) and v > 0, "a positive whole number") for key in ("width", "height")
    ]
    return [Size(w, h) for w, h in zip(*sides, strict=True)]


def _boxes(annotations: _Table) -> npt.NDArray[np.float64]:
    """Return the boxes; they may leave their image, and have no area, but never less."""
    expected = "four numbers x, y, width, height"
    boxes = annotations.column(
        "bbox", lambda v: isinstance(v, list) and len(v) == 4 and all(map(_is_number, v)), expected
    )
    boxes_N4 = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    if not (sound_N := np.isfinite(boxes_N4).all(axis=1)).all():
        position = int((~sound_N).argmax())
        raise annotations.error(position, f"bbox: expected finite numbers, got {boxes[position]}")
    if (negative_N := (boxes_N4[:, 2:] < 0).any(axis=1)).any():
        position = int(negative_N.argmax())
        raise annotations.error(
            position,
            f"bbox {boxes[position]}: width and height must not be negative; a box is x, y, width, height and not two "
            "corners",
        )
    return boxes_N4


def _areas(annotations: _Table, boxes_N4: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the areas of the outlines; those of the boxes where the file has none."""
    areas_N = boxes_N4[:, 2] * boxes_N4[:, 3]
    for position, entry in enumerate(annotations.entries):
        area = entry.get("area")
        if area is None:
            continue
        if not _is_number(area) or not area >= 0:
            raise annotations.error(position, f"area: expected a number of square pixels, got {area!r}")
        areas_N[position] = area
    return areas_N


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
