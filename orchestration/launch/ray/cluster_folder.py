"""The folder of a Ray cluster inside a SLURM job: held while the cluster lives, removed by whoever finds it unheld.

SLURM kills a cancelled job when its ``KillWait`` is over, whether or not Ray has ended by then, and nothing that the
job started may outlive it to tidy up. The lock of a killed process is released by the kernel, so the next cluster on
the node knows which folders nobody uses any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path("/tmp")  # on every node, and short: the folder holds unix sockets, whose paths end at 107 bytes
PREFIX = "oneshot-ray-"


def folder_of(name: str) -> Path:
    """Return the folder of the cluster with this name, the same on each of its nodes."""
    return ROOT / f"{PREFIX}{name}"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make the folder and hold it, as several processes may; the last one removes it.

    What killed jobs of this user left on this node is removed first.
    """
    sweep()
    handle = _hold(folder)
    try:
        yield
    finally:
        os.close(handle)
        _remove_unheld(folder)


def sweep() -> list[Path]:
    """Remove the folders of this user's clusters on this node that no process holds; return them."""
    return [folder for folder in ROOT.glob(f"{PREFIX}*") if _remove_unheld(folder)]


def _hold(folder: Path) -> int:
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            handle = _open(folder)
        except FileNotFoundError:
            continue
        fcntl.flock(handle, fcntl.LOCK_SH)
        if folder.exists() and os.path.samestat(os.fstat(handle), folder.stat()):
            return handle
        os.close(handle)  # somebody removed it before it was locked


def _remove_unheld(folder: Path) -> bool:
    try:
        handle = _open(folder)
    except (FileNotFoundError, PermissionError, NotADirectoryError):  # removed by now, or somebody else's
        return False
    try:
        if os.fstat(handle).st_uid != os.getuid():
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)  # Ray may still write; then the next sweep takes it
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
