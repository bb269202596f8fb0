"""The 1-shot episodes of RepMet: boxes and class images from its two pickles and the photos of ILSVRC."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from os2d.data.annotation import is_inside
from os2d.data.catalog import EPISODES_FILE, ROIDB_FILE
from os2d.data.generated_table import MadeBox, ensure_table, save_crop
from os2d.download.how_to_get import how_to_get
from os2d.errors import DataError
from os2d.safe_pickle import ForbiddenPickleError, read_pickle, values_of

logger = logging.getLogger(__name__)

COLUMNS = (
    *("imageid", "imagefilename", "classid", "classfilename", "gtbboxid", "difficult"),
    *("lx", "ty", "rx", "by"),
)
PREFIX = "/dccstor/leonidka1/data/imagenet/ILSVRC/"
"""Where the photos lay when the files were written."""

TEST_CLASSES = 214

_NOT_AS_PUBLISHED = (KeyError, TypeError, ValueError, IndexError, ArithmeticError, ForbiddenPickleError)
"""What comes of values that are not where the published files have them."""


@dataclass(frozen=True)
class ClassBox:
    """One example of a class: the photo is a path as in the file."""

    class_id: int
    photo: str
    box_xyxy: tuple[float, ...]


@dataclass(frozen=True)
class Episode:
    """Classes with examples, and the photos in which to find them."""

    class_ids: Sequence[int]
    examples: Sequence[ClassBox]
    photos: Sequence[str]


@dataclass(frozen=True)
class Photo:
    """What ``roidb`` knows of a photo; ``number`` is its position there."""

    number: int
    width: int
    height: int
    boxes_xyxy: Sequence[Sequence[float]]
    class_ids: Sequence[int]


@dataclass(frozen=True)
class RepmetFiles:
    """The content of both pickles, as far as the episodes need it.

    Args:
        episodes: in their order.
        photos: path -> photo, for those of the episodes.
        first_flipped: position of the first mirrored entry of the roidb; the published program stops at it.
    """

    episodes: Sequence[Episode]
    photos: dict[str, Photo]
    first_flipped: int | None


def ensure_episode(folder: Path, table: Path, number: int) -> None:
    """Make the table and the class images of an episode unless the table is there.

    Raises:
        DataError: a file is missing, refused, or does not hold what the published one does.
    """
    ensure_table(table, COLUMNS, lambda: _boxes(folder, table.parent / "images", number))


def _boxes(folder: Path, class_images: Path, number: int) -> Iterator[MadeBox]:
    files = read_repmet(folder)
    if number >= len(files.episodes):
        raise DataError(
            f"data set 'imagenet-repmet-test-episode-{number}': {folder / EPISODES_FILE} holds episodes 0 to "
            f"{len(files.episodes) - 1}"
        )
    episode = files.episodes[number]
    class_files: dict[int, str] = {}
    for example in episode.examples:
        if example.class_id in class_files:
            logger.info("episode %d: class %d has several examples; the first counts", number, example.class_id)
            continue
        photo = _local_path(folder, example.photo)
        class_files[example.class_id] = f"{example.class_id:05d}_{photo.replace('/', '_')}"
        save_crop(folder / "ILSVRC" / photo, example.box_xyxy, class_images / class_files[example.class_id])
    for class_id in set(episode.class_ids) - set(class_files):
        logger.warning("episode %d: class %d has no example and is left out", number, class_id)
    for path in episode.photos:
        photo, found = _local_path(folder, path), _find(folder, files, path)
        for box, class_id in zip(found.boxes_xyxy, found.class_ids, strict=True):
            if class_id in class_files:
                lx, rx = (float(x) / found.width for x in box[::2])
                ty, by = (float(y) / found.height for y in box[1::2])
                yield MadeBox(found.number, photo, class_id, class_files[class_id], 0, lx, ty, rx, by)


def _find(folder: Path, files: RepmetFiles, path: str) -> Photo:
    if path not in files.photos:
        raise DataError(
            f"{folder / ROIDB_FILE}: has no entry for {path}, which an episode names; fetch both files again"
        )
    photo = files.photos[path]
    if files.first_flipped is not None and files.first_flipped <= photo.number:
        raise DataError(
            f"{folder / ROIDB_FILE}: entry {files.first_flipped} is mirrored, so boxes may not fit the photos; fetch "
            "the published file"
        )
    return photo


def _local_path(folder: Path, path: str) -> str:
    local = path.replace(PREFIX, "")
    if not is_inside(local):
        raise DataError(f"{folder / EPISODES_FILE}: {path!r} does not lie below {PREFIX}")
    return local


def read_repmet(folder: Path) -> RepmetFiles:
    """Return the content of both pickles; they are parsed once in a process.

    Raises:
        DataError: a file is missing, refused, or does not hold what the published one does.
    """
    paths = (folder / ROIDB_FILE, folder / EPISODES_FILE)
    return _read_repmet(*paths, tuple(_state(path) for path in paths))


def _state(path: Path) -> tuple[int, int] | None:
    status = path.stat() if path.is_file() else None
    return (status.st_size, status.st_mtime_ns) if status else None


@lru_cache(maxsize=1)
def _read_repmet(roidb: Path, episodes_file: Path, states: object) -> RepmetFiles:
    episodes = read_episodes(episodes_file)
    logger.info("reading %s, which takes a while", roidb)
    entries = read_published(roidb)
    wanted = {path for episode in episodes for path in episode.photos}
    photos: dict[str, Photo] = {}
    first_flipped = None
    try:
        for number, entry in enumerate(entries["roidb"]):
            if first_flipped is None and entry["flipped"]:
                first_flipped = number
            path = entry["image"]
            if path in wanted and path not in photos:
                photos[path] = _photo(number, entry)
    except _NOT_AS_PUBLISHED as e:
        raise DataError(
            f"{roidb}: expected a list 'roidb' of photos with image, flipped, width, height, boxes and gt_classes; "
            f"reading it gave {type(e).__name__}: {e}"
        ) from e
    return RepmetFiles(episodes, photos, first_flipped)


def read_episodes(path: Path) -> list[Episode]:
    """Return all episodes.

    Raises:
        DataError: the file is missing, refused, or does not hold what the published one does.
    """
    found = read_published(path)
    try:
        numbers = range(len(found))  # a list, or a mapping from numbers
        return [_episode(found[number]) for number in numbers]
    except _NOT_AS_PUBLISHED as e:
        raise DataError(
            f"{path}: expected a list of episodes with epi_cats, query_images and train_boxes; reading it gave "
            f"{type(e).__name__}: {e}"
        ) from e


def _episode(entry: Any) -> Episode:
    class_ids = [int(c) for c in values_of(entry["epi_cats"])]
    examples = [_example(values_of(box)) for box in entry["train_boxes"]]
    stranger = next((e.class_id for e in examples if e.class_id not in class_ids), None)
    if stranger is not None:
        raise ValueError(f"an example of class {stranger}, which is not in epi_cats")
    return Episode(class_ids, examples, [str(path) for path in values_of(entry["query_images"])])


def _example(entry: list[Any]) -> ClassBox:
    box = [float(v) for v in _flat(values_of(entry[3]))]
    if len(box) != 4:
        raise ValueError(f"a box of {len(box)} numbers")
    return ClassBox(int(entry[0]), str(entry[2]), tuple(box))


def _flat(values: list[Any]) -> list[Any]:
    return [v for part in values for v in (_flat(part) if isinstance(part, list) else [part])]


def _photo(number: int, entry: Any) -> Photo:
    boxes = [tuple(float(v) for v in box) for box in values_of(entry["boxes"])]
    class_ids = [int(c) for c in values_of(entry["gt_classes"])]
    width, height = int(entry["width"]), int(entry["height"])
    if width < 1 or height < 1 or len(boxes) != len(class_ids) or any(len(box) != 4 for box in boxes):
        raise ValueError(
            f"entry {number} of {width} x {height} pixels, {len(boxes)} boxes and {len(class_ids)} classes"
        )
    return Photo(number, width, height, boxes, class_ids)


def wnids_of_episodes(folder: Path) -> frozenset[str]:
    """Return the WordNet ids of the classes of all episodes: the folders of the training photos that show them.

    Raises:
        DataError: they are not the 214 published ones.
    """
    path = folder / EPISODES_FILE
    photos = (example.photo for episode in read_episodes(path) for example in episode.examples)
    found = frozenset(name for photo in photos if re.fullmatch(r"n\d{8}", name := PurePosixPath(photo).parent.name))
    if len(found) != TEST_CLASSES:
        raise DataError(
            f"{path}: its examples come from the folders of {len(found)} classes, not of the {TEST_CLASSES} test "
            f"classes; write their WordNet ids into {folder / 'repmet_test_classes.txt'}, one a line"
        )
    return found


def read_published(path: Path) -> Any:
    """Return what a pickle of containers, numbers, texts and NumPy arrays holds; the latter as :class:`PickledArray`.

    Raises:
        DataError: the file is missing, damaged, or names anything else; nothing of it is run.
    """
    try:
        return read_pickle(path)
    except FileNotFoundError:
        steps = how_to_get(str(path))
        raise DataError(f"{path}: no such file; it is one of the two files of RepMet: {steps}") from None
    except ForbiddenPickleError as e:
        raise DataError(
            f"{path}: refused: the pickle holds {e}, which the file of RepMet does not and which could run programs; "
            "fetch the published file"
        ) from e
    except OSError as e:
        raise DataError(f"{path}: cannot be read: {e.strerror}") from e
    except MemoryError:
        raise
    except Exception as e:  # a damaged pickle raises anything, and nothing but the stand-ins above has run
        raise DataError(f"{path}: is damaged or no pickle ({type(e).__name__}: {e}); fetch it again") from e
