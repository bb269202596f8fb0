"""A checksum of a whole zip archive, kept in the archive's own comment.

The checksums of the zip format cover the content of the members only: a bit that flips in a header changes a name, a
length or a flag, and each reader fails in its own way on it, or not at all. A sealed archive stays a plain zip archive,
which ``torch.load`` reads too.
"""

from __future__ import annotations

import errno
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_SEAL = b"crc32:%08x"
_SEAL_BYTES = len(_SEAL % 0)
_LENGTH = struct.Struct("<H")  # of the comment: the last two bytes of an archive that has none
_NO_COMMENT = _LENGTH.pack(0)
_CHUNK = 1 << 20


class _Checked:
    """A file that is only written to, front to back, and the checksum of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.checksum = 0

    def write(self, data: bytes) -> int:
        self.checksum = zlib.crc32(data, self.checksum)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def write_sealed(file: BinaryIO, write_archive: Callable[[_Checked], object]) -> None:
    """Let a zip archive without a comment be written, and seal it.

    Args:
        file: open for writing, at its end, which can be sought.
        write_archive: writes the archive into what it is given, front to back.
    """
    checked = _Checked(file)
    write_archive(checked)
    file.seek(-_LENGTH.size, 2)
    file.write(_LENGTH.pack(_SEAL_BYTES) + _SEAL % checked.checksum)


def is_intact(path: Path) -> bool:
    """Return whether a file is a sealed archive, each byte as it was written; False too where the disk cannot read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2) - _LENGTH.size - _SEAL_BYTES
            if size < 0:
                return False
            file.seek(size)
            length, seal = file.read(_LENGTH.size), file.read()
            file.seek(0)
            checksum = 0
            while size > 0:
                chunk = file.read(min(size, _CHUNK))
                checksum = zlib.crc32(chunk, checksum)
                size -= len(chunk)
    except OSError as error:
        if error.errno != errno.EIO:  # a lack of rights is no damage
            raise
        return False
    return length == _LENGTH.pack(_SEAL_BYTES) and seal == _SEAL % zlib.crc32(_NO_COMMENT, checksum)
