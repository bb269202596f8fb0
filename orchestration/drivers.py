"""The processes that launch trials into a runs folder, ``runs/.drivers/``: a record each while it works, and its log.

A driver that runs in the terminal writes there; a detached one into ``<id>.log``, which stays when it has ended.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from secrets import token_hex

from orchestration.attempt import now_ms
from orchestration.claim import Owner
from orchestration.durable import make_folder, named_failure, read_whole, to_json, write_whole

LOG_VARIABLE = "ONESHOT_DRIVER_LOG"
"""Where a detached driver writes; its record has the same name."""


@dataclass(frozen=True)
class Driver:
    """A process that launches trials.

    Args:
        owner: the process.
        command: as it was started.
        folder: where.
        started_ms: when, in milliseconds since 1970.
        log: what it prints; empty when that is a terminal.
        record: its file.
    """

    owner: Owner
    command: Sequence[str]
    folder: str
    started_ms: int
    log: str
    record: Path

    def __str__(self) -> str:
        """Return one line for people."""
        since = datetime.fromtimestamp(self.started_ms / 1000)
        at = f"process {self.owner.pid} on {self.owner.host} since {since:%Y-%m-%d %H:%M}"
        return f"{at}: {shlex.join(self.command)}" + (f" (log {self.log})" if self.log else "")


def new_log(runs_root: Path) -> Path:
    """Return the path of the log of a driver that is about to start."""
    folder = _folder(runs_root).absolute()
    make_folder(folder)
    return folder / f"{datetime.now():%Y%m%d-%H%M%S}-{token_hex(3)}.log"


def record_of(log: Path) -> Path:
    """Return the record of the driver that writes this log."""
    return log.with_suffix(".json")


@contextmanager
def recorded(runs_root: Path) -> Iterator[None]:
    """Keep a record of this process while it launches trials."""
    log = os.environ.pop(LOG_VARIABLE, "")  # for this process, not for its children
    path = record_of(Path(log) if log else new_log(runs_root))
    name = Path(sys.argv[0]).name.replace("__main__.py", "oneshot")
    fields = {
        "owner": vars(Owner.this_process()),
        "command": [name, *sys.argv[1:]],
        "folder": str(Path.cwd()),
        "started_ms": now_ms(),
        "log": log,
    }
    write_whole(path, to_json(fields, indent=1), durable=False)
    try:
        yield
    finally:
        with named_failure(path):
            path.unlink(missing_ok=True)


def drivers(runs_root: Path) -> list[Driver]:
    """Return the drivers on record, oldest first; those that were killed are on record, too."""
    found = []
    for record in sorted(_folder(runs_root).glob("*.json")):
        fields = read_whole(record)
        if fields is not None:  # it has not ended between the two looks
            found.append(Driver(**{**fields, "owner": Owner.from_dict(fields["owner"])}, record=record))
    return found


def live_drivers(runs_root: Path) -> list[Driver]:
    """Return the drivers that live, as far as can be seen from here: those on other hosts count as alive."""
    return [driver for driver in drivers(runs_root) if driver.owner.is_alive() is not False]


def logs(runs_root: Path) -> list[Path]:
    """Return what detached drivers printed, oldest first, also of those that have ended."""
    return sorted(_folder(runs_root).glob("*.log"))


def _folder(runs_root: Path) -> Path:
    return runs_root / ".drivers"
