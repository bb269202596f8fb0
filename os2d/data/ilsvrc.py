"""ILSVRC: the boxes of its localisation task without the test classes of RepMet, for a detector of all classes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from os import scandir
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from os2d.data.catalog import TEST_CLASSES_FILE, ConvertedFrom
from os2d.data.generated_table import MadeBox, ensure_table
from os2d.data.repmet import COLUMNS, wnids_of_episodes
from os2d.download.how_to_get import how_to_get
from os2d.errors import DataError

logger = logging.getLogger(__name__)

ANNOTATIONS = Path("ILSVRC", "Annotations", "CLS-LOC")


class LabelledBox(NamedTuple):
    """One object of an annotation file; the box is in pixels, as written."""

    wnid: str
    difficult: int
    xyxy: tuple[int, int, int, int]


class PhotoAnnotation(NamedTuple):
    """The content of an annotation file; ``name`` is the photo's, without suffix."""

    name: str
    width: int
    height: int
    boxes: list[LabelledBox]


def ensure_ilsvrc(folder: Path, table: Path, origin: ConvertedFrom) -> None:
    """Make the table of the training or the validation photos unless it is there.

    Raises:
        DataError: the annotations are missing or not as published.
    """
    ensure_table(table, COLUMNS, lambda: _boxes(folder, origin))


def _boxes(folder: Path, origin: ConvertedFrom) -> Iterator[MadeBox]:
    excluded = excluded_wnids(folder)
    in_training = origin is ConvertedFrom.ILSVRC_TRAIN
    paths = annotation_files(folder, "train" if in_training else "val")
    logger.info("reading %d annotation files in %s", len(paths), folder / ANNOTATIONS)
    for image_id, path in enumerate(paths):
        photo = read_photo_annotation(path)
        wnid = photo.name.partition("_")[0]
        if in_training and wnid in excluded:
            continue
        file = f"train/{wnid}/{photo.name}.JPEG" if in_training else f"val/{photo.name}.JPEG"
        for box in photo.boxes:
            if box.wnid not in excluded:
                lx, rx = (x / photo.width for x in box.xyxy[::2])
                ty, by = (y / photo.height for y in box.xyxy[1::2])
                yield MadeBox(image_id, file, _class_id(path, box.wnid), "", box.difficult, lx, ty, rx, by)


def annotation_files(folder: Path, part: str) -> list[Path]:
    """Return the annotation files of the photos for ``train`` or ``val``, sorted by path.

    Raises:
        DataError: there are none.
    """
    annotations = folder / ANNOTATIONS
    return _in_subfolders(annotations / part) if part == "train" else _in_folder(annotations / part)


def excluded_wnids(folder: Path) -> frozenset[str]:
    """Return the test classes of RepMet: those of the list beside the data, else those of the episodes.

    Raises:
        DataError: there is neither.
    """
    path = folder / TEST_CLASSES_FILE
    if not path.is_file():
        return wnids_of_episodes(folder)
    return frozenset(filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())))


def _in_folder(folder: Path) -> list[Path]:
    try:
        with scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(".xml"))
    except OSError as e:
        steps = how_to_get("imagenet-repmet-train")
        raise DataError(f"{folder}: cannot list the annotations of ILSVRC: {e.strerror}; to get them: {steps}") from e
    if not names:
        raise DataError(f"{folder}: holds no .xml file; expected the annotations of ILSVRC")
    return [folder / name for name in names]


def _in_subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return _in_folder(folder)  # says what is missing
    paths = [path for sub in folder.iterdir() if sub.is_dir() for path in _in_folder(sub)]
    if not paths:
        raise DataError(f"{folder}: holds no folders; expected one folder of annotations per class")
    return sorted(paths, key=str)


def read_photo_annotation(path: Path) -> PhotoAnnotation:
    """Return what an annotation file says of its photo.

    Raises:
        DataError: the file is unreadable or incomplete.
    """
    try:
        root = _parse(path.read_bytes())
        boxes = [
            LabelledBox(
                wnid=_text(thing, "name"),
                difficult=int(_text(thing, "difficult")),
                xyxy=_box(thing),
            )
            for thing in root.iter("object")
        ]
        width, height = (int(_text(root, f"size/{side}")) for side in ("width", "height"))
        if width < 1 or height < 1:
            raise ValueError(f"a photo of {width} x {height} pixels")
        return PhotoAnnotation(_text(root, "filename"), width, height, boxes)
    except OSError as e:
        raise DataError(f"{path}: cannot be read: {e.strerror}") from e
    except (expat.ExpatError, ValueError) as e:
        raise DataError(f"{path}: is not an annotation of ILSVRC: {e}") from e


def _parse(content: bytes) -> Element:
    """Return the root element.

    Entities are what makes XML of strangers dangerous: they grow without end or name other files. They can only be
    declared in a document type, which no annotation has; one that has is refused before anything is expanded, and expat
    opens no file by itself.
    """
    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_document_type
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.Parse(content, True)
    return builder.close()


def _refuse_document_type(*declared: object) -> None:
    raise ValueError("it declares a document type, which the published files do not")


def _box(thing: Element) -> tuple[int, int, int, int]:
    left, top, right, bottom = (int(_text(thing, f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))
    return left, top, right, bottom


def _text(element: Element, place: str) -> str:
    text = element.findtext(place)
    if not text:
        raise ValueError(f"{place} is missing")
    return text


def _class_id(path: Path, wnid: str) -> int:
    if not (wnid.startswith("n") and wnid[1:].isdecimal()):
        raise DataError(f"{path}: expected a WordNet id such as n01440764, got {wnid!r}")
    return int(wnid[1:])
