"""A folder of generated files, written once for all processes that want it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from os2d.errors import DataError


def ensure_folder(folder: Path, write: Callable[[Path], None], what: str, megabytes: int) -> Path:
    """Return the folder, written now if no process has written it before.

    It appears under its name only when it is complete.

    Args:
        folder: its parent is made if needed.
        write: fills an empty folder.
        what: is in it, for the message of the error.
        megabytes: it takes about.

    Raises:
        DataError: it cannot be written, or the disk is full.
    """
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if not folder.is_dir():
                _write_beside(folder, write)
    except OSError as e:
        raise DataError(
            f"{folder}: cannot write {what}: {e.strerror or e}; set runtime.data_root or the environment variable "
            f"ONESHOT_DATA to a folder that can be written and has some {megabytes} MB free"
        ) from e
    return folder


def _write_beside(folder: Path, write: Callable[[Path], None]) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write(unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
