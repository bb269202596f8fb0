"""Writing a file so that it appears complete or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path, ending: str = "") -> Iterator[Path]:
    """Give a hidden name beside the file to write to; what is written takes the file's place when the block ends.

    If the block or the disk fails, the file is as it was and nothing is left beside it. The file is on the disk before
    it has its name, so that a machine that goes down leaves no empty one.

    Args:
        path: the file; its folder exists.
        ending: of the name to write to, such as ``.png``, for a library that takes the format from it.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{ending}")
    try:
        yield unfinished
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
