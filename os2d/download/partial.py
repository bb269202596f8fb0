"""A file that is on its way: ``<file>.part`` with the bytes so far, beside it what is needed to continue."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from os2d.download.remote import RemoteStream, Wanted
from os2d.errors import DownloadError

_SPARE_BYTES = 64 << 20
"""What must remain free on the disk: filling it to the last byte breaks everything else that runs there."""


class PartialFile:
    """The bytes that have come so far; a context manager that keeps the file open.

    Args:
        target: what the file is called when it is complete.
        address: of the remote file; bytes of another address are not continued.
    """

    def __init__(self, target: Path, address: str) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self._address = address
        self._note = target.with_name(f"{target.name}.part.json")

    def __enter__(self) -> Self:
        with disk_errors(self.target):
            self._wanted = self._read_note()
        self._stream: FileIO | None = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()
            if self.path.exists() and self.path.stat().st_size == 0:  # nothing to continue: leave no traces
                self.discard()

    @property
    def wanted(self) -> Wanted:
        """What to ask the server for."""
        return self._wanted

    def accept(self, stream: RemoteStream) -> None:
        """Get ready for the bytes of ``stream``: drop those of another version, see to it that there is room."""
        with disk_errors(self.target):
            self.target.parent.mkdir(parents=True, exist_ok=True)  # only now: an empty folder looks like data
            if stream.size is not None:
                check_room(self.target.parent, stream.size - stream.start, self.target.name)
            if self._stream is None:
                self._stream = self.path.open("ab", buffering=0)  # what came is on disk, however this process ends
            self._stream.truncate(stream.start)
            self._wanted = Wanted(stream.start, stream.size, stream.version)
            self._write_note()

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        with disk_errors(self.target):
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._opened().write(rest) :]
        self._wanted = Wanted(self._wanted.start + len(chunk), self._wanted.size, self._wanted.version)

    def _opened(self) -> FileIO:
        assert self._stream is not None, "accept() comes first"
        return self._stream

    def complete(self, sha256_prefix: str) -> str:
        """Give the file its name and return its SHA-256; a file with another checksum than published is removed."""
        with disk_errors(self.target):
            os.fsync(self._opened().fileno())
            sha256 = sha256_of(self.path)
            if not sha256.startswith(sha256_prefix):
                self.discard()
                raise DownloadError(
                    f"{self.target}: what came has the checksum {sha256[: len(sha256_prefix)]}..., published is "
                    f"{sha256_prefix}...; it was not kept: run the command again, or take another source with --from"
                )
            self.path.replace(self.target)
            self._note.unlink(missing_ok=True)
        return sha256

    def discard(self) -> None:
        """Forget everything that came."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _read_note(self) -> Wanted:
        """Return what an earlier attempt left; bytes without a readable note could be of any file."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            there = self.path.stat().st_size
            if note["address"] != self._address:
                return Wanted()
            return Wanted(there, note["size"], note["version"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return Wanted()

    def _write_note(self) -> None:
        note = {"address": self._address, "size": self._wanted.size, "version": self._wanted.version}
        temporary = self._note.with_name(f"{self._note.name}.new")
        temporary.write_text(json.dumps(note), encoding="utf-8")
        temporary.replace(self._note)


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_room(folder: Path, bytes_needed: int, what: str) -> None:
    """Raise when a disk has less room than will be needed."""
    free = shutil.disk_usage(folder).free
    if bytes_needed + _SPARE_BYTES > free:
        raise DownloadError(
            f"{folder}: not enough room for {what}: {readable_bytes(bytes_needed)} are still to come, "
            f"{readable_bytes(free)} are free; free some or choose another folder"
        )


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into a message that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DownloadError(
                f"{path}: the disk is full; what has come is kept: free some room and run the same command again"
            ) from error
        raise DownloadError(f"{path}: cannot be written ({error.strerror or error})") from error


def readable_bytes(count: int) -> str:
    """Return a number of bytes for people: ``1.2 GB``."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
