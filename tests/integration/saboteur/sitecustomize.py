"""Loaded by every Python process that has this folder on its path: breaks workers where a file tells it to.

``ONESHOT_SABOTAGE`` names a JSON file: signature -> list of (what, number), one for each worker of that trial in the
order they start. At its ``number``-th operation on the files of its trial folder the worker

- ``kill``: is killed before the operation;
- ``tear``: is killed in the middle of it, when it appends a line: half of the line is written;
- ``full``: gets the answer of a full disk, this once.

``ONESHOT_CLOCK`` names a file with the seconds that the clock of the process goes wrong by; it may change meanwhile.
"""

import errno
import json
import os
import signal
import sys
import time
from pathlib import Path


def _sabotage(plan: Path, trial_folder: Path) -> None:
    entries = json.loads(plan.read_text()).get(trial_folder.name, [])
    for number, entry in enumerate(entries):
        try:
            os.close(os.open(plan.with_name(f"{trial_folder.name}.{number}"), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        _break_at(str(trial_folder), *entry)
        return


def _break_at(trial_folder: str, what: str, number: int) -> None:
    count = 0
    real_write = os.write

    def strike(name: str, arguments: tuple) -> None:
        if what == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if what == "tear" and name == "write":
            real_write(arguments[0], arguments[1][: len(arguments[1]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    def watched(name: str):
        real = getattr(os, name)

        def operation(*arguments, **options):
            nonlocal count
            if _is_of_trial(trial_folder, arguments):
                count += 1
                if count == number:
                    strike(name, arguments)
            return real(*arguments, **options)

        return operation

    for name in ("mkdir", "link", "replace", "unlink", "fsync", "write"):
        setattr(os, name, watched(name))


def _is_of_trial(trial_folder: str, arguments: tuple) -> bool:
    """Tell whether a path, or the file behind a descriptor, is of the trial; the beats come when they like."""
    target = arguments[0]
    if isinstance(target, int):
        try:
            target = Path(f"/proc/self/fd/{target}").readlink()
        except OSError:
            return False
    path = os.fspath(target)
    return path.startswith(trial_folder) and "heartbeat" not in path and "system.jsonl" not in path


def _falsify(clock: Path) -> None:
    real_time, real_time_ns = time.time, time.time_ns

    def offset() -> float:
        try:
            return float(clock.read_text() or 0)
        except FileNotFoundError:
            return 0.0

    time.time = lambda: real_time() + offset()
    time.time_ns = lambda: real_time_ns() + int(offset() * 1e9)


if "orchestration.trial" in sys.orig_argv:
    if "ONESHOT_SABOTAGE" in os.environ:
        _sabotage(Path(os.environ["ONESHOT_SABOTAGE"]), Path(sys.orig_argv[-1]))
    if "ONESHOT_CLOCK" in os.environ:
        _falsify(Path(os.environ["ONESHOT_CLOCK"]))
