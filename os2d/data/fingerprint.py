"""Hashes of what a configuration reads from disk, so that other data is another experiment.

Light on purpose (no torch, no pandas). Hashes of files are remembered by path, size and time of change; a planner asks
for the same data set once per trial, thousands of times, so what was just looked at is not looked at again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from yacs.config import CfgNode

from os2d.data.annotation import read_annotation
from os2d.data.catalog import DatasetSource, advice, data_root, find_dataset, is_known
from os2d.data.presence import State, state_of
from os2d.data.shelf.parameters import shelf_fingerprint
from os2d.download.missing_weights import why_missing
from os2d.errors import CheckpointError, DataError
from os2d.run import MissingInput
from os2d.whole_file import whole_file

logger = logging.getLogger(__name__)

SETTLED_NS = 2_000_000_000
"""A file changed within the last two seconds may change again without a new time stamp; it is not remembered."""

LOOKING_SHARE = 0.05
"""Part of the time that a process may spend looking again whether the files of a data set changed."""

LONGEST_MEMORY_SECONDS = 10.0
"""After this time it looks again in any case."""


class FileHashes:
    """Content hashes of files, remembered in a JSON file of the user's cache folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = dict(_read_known(path))
        self._added: dict[str, str] = {}

    def of(self, file: Path) -> str:
        """Return the sha256 of a file, 64 hex digits."""
        status = file.stat()
        key = f"{file.resolve()}|{status.st_size}|{status.st_mtime_ns}"
        if key in self._known:
            return self._known[key]
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if time.time_ns() - status.st_mtime_ns > SETTLED_NS:
            self._known[key] = self._added[key] = digest
        return digest

    def save(self) -> None:
        """Add what was hashed to the file; a cache that cannot be written only costs time, and is logged."""
        if not self._added:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self.path) as unfinished:
                unfinished.write_text(json.dumps({**_read_known(self.path), **self._added}), encoding="utf-8")
        except OSError as e:
            logger.warning("%s: cannot remember file hashes: %s", self.path, e)
        self._added = {}


def remembered_hashes() -> FileHashes:
    """Return the hashes of files that were read before."""
    return FileHashes(_cache_file())


def file_fingerprint(path: Path) -> str:
    """Return the hash of a file's content, 64 hex digits."""
    hashes = remembered_hashes()
    digest = hashes.of(Path(path))
    hashes.save()
    return digest


def dataset_fingerprint(name: str, root: Path) -> str:
    """Return the hash of a data set: its rows and the content of every image they name, 64 hex digits.

    The generated data set is known by its parameters and need not be drawn. A known data set that is not below ``root``
    is a :class:`MissingInput`.

    Raises:
        DataError: a row is wrong, a file that the rows name is missing, or there is no such data set.
    """
    if is_known(name) and state_of(name, root) is State.ABSENT:
        return MissingInput(f"data set {name}", advice(name))
    source = find_dataset(name, root)
    if source.shelf is not None:
        return shelf_fingerprint(source.shelf)
    return looked_up(
        source, _visible_state(source), lambda: _fingerprint_of_sources(source) or _fingerprint_of_files(source)
    )


VisibleState = tuple[tuple[int, int] | None, ...]
"""Sizes and times of change of files and folders; None for one that is missing."""


@dataclass(frozen=True)
class _Look:
    """What a data set was found to be, and until which time of the monotonic clock this is believed."""

    fingerprint: str
    state: VisibleState
    valid_until: float


_looks: dict[Hashable, _Look] = {}


def looked_up(source: Hashable, state: VisibleState, find: Callable[[], str]) -> str:
    """Return the fingerprint that ``find`` finds, or found a moment ago when the state was the same.

    Args:
        source: what is looked at.
        state: of its files, as far as a glance shows it.
        find: looks at every file.
    """
    started = time.monotonic()
    look = _looks.get(source)
    if look is None or look.state != state or started >= look.valid_until:
        fingerprint = find()
        now = time.monotonic()
        memory_seconds = min((now - started) / LOOKING_SHARE, LONGEST_MEMORY_SECONDS)
        look = _looks[source] = _Look(fingerprint, state, now + memory_seconds)
    return look.fingerprint


def _visible_state(source: DatasetSource) -> VisibleState:
    """Return size and time of change of the table and the folders, which show most changes at once."""
    places = [source.annotation, source.images, source.class_images]
    places += source.conversion.decided_by if source.conversion else ()
    return tuple(size_and_time(place) for place in places if place is not None)


def size_and_time(path: Path) -> tuple[int, int] | None:
    """Return the size and the time of change of a file or folder; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None  # what is missing is reported by whoever needs it
    return status.st_size, status.st_mtime_ns


def _fingerprint_of_sources(source: DatasetSource) -> str | None:
    """Return the hash of the published files that decide a converted table; None where there are none.

    It is the same before and after the conversion. The photos are those of the publisher, and are not read.
    """
    found = [path for path in source.conversion.decided_by if path.is_file()] if source.conversion else []
    if not found:
        return None
    hashes = remembered_hashes()
    contents = "".join(f"{path.name}\n{hashes.of(path)}\n" for path in found)
    hashes.save()
    return hashlib.sha256(f"{source.name}\n{source.nominal_size}\n{contents}".encode()).hexdigest()


def _fingerprint_of_files(source: DatasetSource) -> str:
    named_files = _named_files(source)
    hashes = remembered_hashes()
    total = hashlib.sha256(f"{source.nominal_size}\n{hashes.of(source.annotation)}\n".encode())
    for folder, file_name, line in named_files:
        path = folder / file_name
        try:
            total.update(f"{file_name}\n{hashes.of(path)}\n".encode())
        except OSError as e:
            raise DataError(f"{path}: cannot be read: {e.strerror} (named by {source.annotation}, line {line})") from e
    hashes.save()
    return total.hexdigest()


def fingerprints(config: CfgNode) -> dict[str, str]:
    """Return name -> hash of every data set and weights file that a configuration reads."""
    return _fingerprints(config, reads_train_set=config.train.do_training)


def evaluation_fingerprints(config: CfgNode) -> dict[str, str]:
    """Return what :func:`fingerprints` does, for a task that never trains."""
    return _fingerprints(config, reads_train_set=False)


def _fingerprints(config: CfgNode, *, reads_train_set: bool) -> dict[str, str]:
    root = data_root(config)
    names = [name for name in config.eval.dataset_names if name]
    if reads_train_set or config.eval.train_subset_for_eval_size > 0:
        names.insert(0, config.train.dataset_name)
    found = {name: dataset_fingerprint(name, root) for name in names}
    for key, value in (("init.model", config.init.model), ("init.transform", config.init.transform)):
        if value:
            found[key] = weights_fingerprint(key, Path(value))
    return found


def _named_files(source: DatasetSource) -> list[tuple[Path, str, int]]:
    """Return folder, name and first line of every image and class image, in the order of the table."""
    annotation = read_annotation(source)
    line_of_image = {row.imageid: row.line for row in reversed(annotation.rows)}
    images = [(source.images, name, line_of_image.get(i, 1)) for i, name in annotation.file_of_image.items()]
    if source.class_images is None:
        return images
    first_row = {row.classid: row for row in reversed(annotation.rows)}
    classes = [(source.class_images, first_row[c].classfilename, first_row[c].line) for c in sorted(first_row)]
    return images + classes


def weights_fingerprint(key: str, path: Path) -> str:
    """Return the hash of the weights file that a configuration key names, 64 hex digits, or a MissingInput.

    Raises:
        CheckpointError: it is there and cannot be read.
    """
    try:
        return file_fingerprint(path)
    except FileNotFoundError:
        what, _, how = why_missing(path).partition("; ")
        return MissingInput(f"{key}: {what}", how)
    except OSError as e:
        raise CheckpointError(f"{key}: cannot read {path}: {e.strerror}; set it to a weights file") from e


def _cache_file() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "oneshot-lab" / "file-hashes.json"


def _read_known(path: Path) -> Mapping[str, str]:
    """Return the remembered hashes; without a readable file every file is hashed again."""
    return _parse_known(path, size_and_time(path))


@lru_cache(maxsize=2)
def _parse_known(path: Path, state: tuple[int, int] | None) -> Mapping[str, str]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as e:
        logger.warning("%s: cannot be read (%s); files are hashed again", path, e)
        return {}
    return known if isinstance(known, dict) else {}
