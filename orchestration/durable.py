"""Files that survive a crash, a full disk and a reader in between.

Whole files are written under a temporary name, synced and renamed. Records are appended as one line each; a line that
a crash cut short is skipped by readers and closed by the next writer. JSON is strict: a float that is not finite is
written as ``{"$float": "NaN"}``, ``{"$float": "Infinity"}`` or ``{"$float": "-Infinity"}``, and read back as itself.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from orchestration.errors import JournalError

logger = logging.getLogger(__name__)

_FLOAT_TAG = "$float"
_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False)
_CHUNK_BYTES = 1 << 16


def to_json(value: Any, indent: int | None = None) -> str:
    """Return strict JSON; floats that are not finite become tagged objects."""
    encoder = _ENCODER if indent is None else json.JSONEncoder(indent=indent, allow_nan=False, ensure_ascii=False)
    try:
        return encoder.encode(value)
    except ValueError:  # NaN or an infinity is somewhere inside: rare enough to look for it only now
        return encoder.encode(_tag_floats(value))


def from_json(text: str) -> Any:
    """Return what :func:`to_json` was given, with tuples as lists."""
    return json.loads(text, object_hook=_untag_float if _FLOAT_TAG in text else None)


def write_whole(path: Path, content: bytes | str | Callable[[BinaryIO], object], durable: bool = True) -> None:
    """Write a file so that everyone sees either the old content or the new one.

    Args:
        path: replaced when it exists.
        content: what to write, or a function that writes it.
        durable: False skips the wait for the disk, for what a power failure may lose.
    """
    with named_failure(path):
        temporary = _write_beside(path, content, durable)
        try:
            os.replace(temporary, path)  # noqa: PTH105 - heartbeats and requests are written by the thousand
        except OSError:
            os.unlink(temporary)  # noqa: PTH108
            raise
        if durable:
            _sync_folder(path.parent)


def create_whole(path: Path, content: str) -> bool:
    """Write a file unless it exists; of several processes that try, exactly one gets True.

    A hard link is as exclusive as ``O_EXCL``, on network file systems too, and never shows an empty file.
    """
    with named_failure(path):
        temporary = _write_beside(path, content, durable=True)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            os.unlink(temporary)  # noqa: PTH108
        _sync_folder(path.parent)
        return True


def make_folder(path: Path) -> None:
    """Create a folder and its parents unless they exist."""
    with named_failure(path):
        path.mkdir(parents=True, exist_ok=True)


def link_to(path: Path, target: str) -> None:
    """Let a symbolic link point to ``target``, replacing the link that is there."""
    with named_failure(path.parent):
        if path.is_symlink() and path.readlink() == Path(target):
            return
        temporary = path.with_name(f".{os.urandom(16).hex()}")
        temporary.symlink_to(target)
        temporary.replace(path)


class LineWriter:
    """Appends records to a file that has one writer at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def append(self, record: dict[str, Any]) -> None:
        """Write one line; when the disk is full the file keeps its old end."""
        line = (to_json(record) + "\n").encode()
        with named_failure(self._path):
            descriptor = self._open()
            written = 0
            try:
                while written < len(line):
                    written += os.write(descriptor, line[written:])
            except OSError:
                if written:
                    os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
                raise

    def sync(self) -> None:
        """Wait until every line of the file is on the disk, those of writers before this one, too."""
        with named_failure(self._path):
            if self._descriptor is not None or self._path.exists():
                os.fsync(self._open())

    def close(self) -> None:
        """Release the file; appending opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            size = os.fstat(self._descriptor).st_size
            if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
                os.write(self._descriptor, b"\n")  # the last writer died within a line
        return self._descriptor


def read_lines(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Return the records behind a byte offset and the offset behind the last complete line.

    A torn line, last or overtaken by later ones, is skipped with a warning. A missing file has no records.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read()
    except FileNotFoundError:
        return [], offset
    complete = content.rfind(b"\n") + 1
    if complete < len(content):
        logger.warning("%s: the last line is not complete and was skipped", path)
    return list(_records(path, content[:complete].splitlines())), offset + complete


def read_last_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a file, the last one first; of a long file no more is read than is asked for."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        start, beginning, is_torn = file.seek(0, os.SEEK_END), b"", True
        while start > 0:
            size = min(start, _CHUNK_BYTES)
            start -= size
            file.seek(start)
            beginning, *lines = (file.read(size) + beginning).split(b"\n")
            if lines and is_torn:  # behind the last line's end is what a writer has not finished
                lines.pop()
                is_torn = False
            yield from _records(path, reversed(lines))
        if beginning and not is_torn:
            yield from _records(path, [beginning])


def _records(path: Path, lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            yield from_json(line.decode())
        except ValueError:
            logger.warning("%s: a line is not complete and was skipped: %.60r", path, line)


def read_whole(path: Path | str, durable: bool = True) -> Any | None:
    """Return the content of a JSON file, or None when there is no such file.

    Args:
        path: of the file.
        durable: False for what was written so: when a power failure left nothing of it, there is no such file.
    """
    content = read_bytes(path)
    if content is None or (not durable and not content.strip(b"\0")):
        return None
    try:
        return from_json(content.decode())
    except ValueError as error:
        raise JournalError(
            f"{path}: not valid JSON ({error}); it was changed by hand or the disk is damaged"
        ) from error


def read_bytes(path: Path | str) -> bytes | None:
    """Return the content of a whole file, or None when there is no such file; twice as fast as a file object."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _named(path, error) from error
    try:
        chunks = []
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            chunks.append(chunk)
        return b"".join(chunks)
    except OSError as error:
        raise _named(path, error) from error
    finally:
        os.close(descriptor)


@contextmanager
def named_failure(path: Path) -> Iterator[None]:
    """Turn a refusal of the operating system to write into one message that names the place."""
    try:
        yield
    except OSError as error:
        raise _named(path, error) from error


def _named(path: Path | str, error: OSError) -> JournalError:
    return JournalError(
        f"{path}: {error.strerror or error}; free space or change the permissions and run the same command again: "
        "what is finished is kept"
    )


def _write_beside(path: Path, content: bytes | str | Callable[[BinaryIO], object], durable: bool) -> str:
    """Write a file beside the one that it will become, and return its path; nothing is left of one that failed."""
    temporary = f"{path.parent}/.{path.name}.{os.urandom(16).hex()}"
    try:
        with open(temporary, "xb") as file:  # noqa: PTH123
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _tag_floats(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT_TAG: json.dumps(value)}
    if isinstance(value, dict):
        return {key: _tag_floats(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tag_floats(item) for item in value]
    return value


def _untag_float(fields: dict[str, Any]) -> Any:
    if fields.keys() == {_FLOAT_TAG}:
        return float(fields[_FLOAT_TAG])
    return fields
