"""The folders of a driver that uses Ray: removed at its end, or by whoever finds that the driver is gone."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration.claim import process_start
from orchestration.durable import make_folder
from orchestration.runs import Runs

SESSION = re.compile(r"(?P<host>.+)-(?P<pid>\d+)-[^-]+")
"""Name of a folder in ``runs/.ray/``."""

TEMPORARY = re.compile(r"oneshot-ray-(?P<pid>\d+)-[^-]+")
"""Name of a folder in the temporary folder of a machine."""

LONGEST_PARENT = 40
"""Characters of a temporary folder below which the paths of Ray's sockets are not too long."""


@contextmanager
def session_folder(runs: Runs) -> Iterator[Path]:
    """Make a folder for what this launch passes around, and remove those of drivers that are gone."""
    parent = runs.root / ".ray"
    make_folder(parent)
    host = socket.gethostname()
    _remove_abandoned((path for path in parent.iterdir() if path.name.startswith(f"{host}-")), SESSION)
    folder = parent / f"{host}-{os.getpid()}-{secrets.token_hex(4)}"
    make_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_folder() -> Iterator[str]:
    """Make a folder for Ray's sockets, whose paths must be short, and remove those of drivers that are gone."""
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > LONGEST_PARENT:
        parent = Path("/tmp")
    _remove_abandoned(own_temporary_folders(parent), TEMPORARY)
    folder = tempfile.mkdtemp(prefix=f"oneshot-ray-{os.getpid()}-", dir=parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def own_temporary_folders(parent: Path) -> list[Path]:
    """Return this user's folders of drivers; clusters in SLURM jobs have names of another form, and hold theirs."""
    named = (path for path in parent.glob("oneshot-ray-*") if TEMPORARY.fullmatch(path.name))
    return sorted(path for path in named if path.stat().st_uid == os.getuid())


def is_abandoned(folder: Path, pattern: re.Pattern[str]) -> bool:
    """Tell whether the process that a folder of this machine is named after is gone."""
    named = pattern.fullmatch(folder.name)
    return named is not None and process_start(int(named["pid"])) is None


def _remove_abandoned(folders: Iterable[Path], pattern: re.Pattern[str]) -> None:
    for folder in list(folders):
        if is_abandoned(folder, pattern):
            shutil.rmtree(folder, ignore_errors=True)
