"""What a runs folder holds that nobody needs any more: found with the reason, deleted when told to.

Nothing of a trial that runs or waits is touched. Results, metrics, attempts, artifacts and named checkpoints stay.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from secrets import token_hex

from orchestration.checkpoints import Checkpoints
from orchestration.drivers import drivers, live_drivers, logs
from orchestration.durable import named_failure
from orchestration.errors import JournalError
from orchestration.journal import TrialFolder
from orchestration.journal_records import State
from orchestration.launch.ray.session_folders import SESSION, TEMPORARY, is_abandoned, own_temporary_folders
from orchestration.runs import Runs

DAY_SECONDS = 86_400.0
WEEK_SECONDS = 7 * DAY_SECONDS
KEPT_CHECKPOINTS = 1
"""Unnamed checkpoints of a trial that is done; the named ones stay all."""

_DELETED = ".deleted-"
_TEMPORARY = re.compile(r"\..*[0-9a-f]{32}")
_AT_WORK = (State.RUNNING, State.QUEUED, State.UNKNOWN)


class Kind(StrEnum):
    """What something is that may be deleted."""

    TEMPORARY = "temporary file"
    CHECKPOINT = "checkpoint"
    RAY_SESSION = "Ray session"
    SUBMISSION = "SLURM submission"
    DRIVER = "driver's log"
    NAME = "name"
    ORPHAN = "trial without a name"


@dataclass(frozen=True)
class Garbage:
    """Something that may be deleted.

    Args:
        kind: what it is.
        path: of a file or folder.
        size: in bytes, with everything inside.
        why: nobody needs it.
        signature: of the trial it belongs to; empty for none.
    """

    kind: Kind
    path: Path
    size: int
    why: str
    signature: str = ""


def find_garbage(runs: Runs, orphans: bool = False) -> list[Garbage]:
    """Return what may be deleted.

    Args:
        runs: where to look.
        orphans: also whole trials that no name leads to, of descriptions that have changed since.
    """
    folders = runs.folders()
    states = runs.states_of(folders)
    idle = [folder for folder in folders if states[folder.signature] not in _AT_WORK]
    return [
        *_temporary_files(runs, idle),
        *_checkpoints(folder for folder in idle if states[folder.signature] is State.DONE),
        *_ray_sessions(runs),
        *_submissions(runs, states),
        *_driver_files(runs),
        *_dangling_names(runs),
        *(_orphans(runs, idle) if orphans else ()),
    ]


def delete(found: Sequence[Garbage], runs: Runs) -> dict[Garbage, str]:
    """Delete what still may be; return what was left and why."""
    left: dict[Garbage, str] = {}
    wanted = _named_and_needed(runs) if any(one.kind is Kind.ORPHAN for one in found) else set()
    for one in found:
        if one.signature and _state(runs, one.signature) in _AT_WORK:
            left[one] = "its trial was started meanwhile"
        elif one.kind is Kind.ORPHAN and one.signature in wanted:
            left[one] = "it has a name again"
        else:
            try:
                _remove(one.path, runs.root)
            except JournalError as error:
                left[one] = str(error)
    return left


def _state(runs: Runs, signature: str) -> State:
    folder = runs.folder(signature)
    return runs.states_of([folder])[signature]


def _temporary_files(runs: Runs, idle: Sequence[TrialFolder]) -> Iterator[Garbage]:
    for leftover in sorted(runs.root.glob(f"{_DELETED}*")):
        yield _garbage(Kind.TEMPORARY, leftover, "what an earlier gc could not delete completely")
    places = [*(folder.path for folder in idle), *(runs.root / name for name in ("by-name", ".drivers", ".slurm"))]
    for place in places:
        for folder, _, names in os.walk(place):
            for name in names:
                path = Path(folder, name)
                if _TEMPORARY.fullmatch(name) and _age(path) > DAY_SECONDS:
                    signature = place.name if len(place.name) == 64 else ""
                    yield _garbage(Kind.TEMPORARY, path, "its writer died more than a day ago", signature)


def _checkpoints(done: Iterable[TrialFolder]) -> Iterator[Garbage]:
    for folder in done:
        for path in Checkpoints(folder.checkpoints).unnamed()[:-KEPT_CHECKPOINTS]:
            yield _garbage(Kind.CHECKPOINT, path, "the trial is done, and a later one is kept", folder.signature)
        for path in sorted(folder.checkpoints.glob("*.damaged")):
            yield _garbage(Kind.CHECKPOINT, path, "it is damaged, and the trial is done", folder.signature)


def _ray_sessions(runs: Runs) -> Iterator[Garbage]:
    for path in sorted((runs.root / ".ray").glob("*")):
        named = SESSION.fullmatch(path.name)
        if named is None:
            continue
        if named["host"] == socket.gethostname():
            if is_abandoned(path, SESSION):
                yield _garbage(Kind.RAY_SESSION, path, "its driver is gone")
        elif _age(path) > WEEK_SECONDS:
            yield _garbage(Kind.RAY_SESSION, path, f"of a driver on {named['host']}, untouched for a week")
    for parent in {Path(tempfile.gettempdir()), Path("/tmp")}:
        for path in own_temporary_folders(parent):
            if is_abandoned(path, TEMPORARY):
                yield _garbage(Kind.RAY_SESSION, path, "its driver is gone")


def _submissions(runs: Runs, states: Mapping[str, State]) -> Iterator[Garbage]:
    if not (runs.root / ".slurm").is_dir():
        return
    from orchestration.launch.slurm.submission import Ledger, array_of
    from orchestration.slurm.queue import snapshot

    queued = set(map(array_of, snapshot()))
    for submission in Ledger(runs.root).submissions():
        job = submission.job()
        if job is None or job in queued:
            continue
        ended = [states.get(signature, State.DONE) for signature in submission.manifest().trials.values()]
        if all(state is State.DONE for state in ended):
            yield _garbage(Kind.SUBMISSION, submission.folder, f"job {job or '(never submitted)'}: its trials are done")
        elif not set(ended) & set(_AT_WORK) and _age(submission.folder / "manifest.json") > WEEK_SECONDS:
            yield _garbage(Kind.SUBMISSION, submission.folder, f"job {job}: it ended, and was submitted a week ago")


def _driver_files(runs: Runs) -> Iterator[Garbage]:
    live = {driver.record.stem for driver in live_drivers(runs.root)}
    for driver in drivers(runs.root):
        if driver.record.stem not in live:
            yield _garbage(Kind.DRIVER, driver.record, "the record of a driver that was killed")
    for log in logs(runs.root):
        if log.stem not in live and _age(log) > WEEK_SECONDS:
            yield _garbage(Kind.DRIVER, log, "its driver ended more than a week ago")


def _dangling_names(runs: Runs) -> Iterator[Garbage]:
    for link in sorted((runs.root / "by-name").glob("*/*")):
        if link.is_symlink() and not link.exists():
            yield _garbage(Kind.NAME, link, "the trial it leads to is gone")


def _orphans(runs: Runs, idle: Sequence[TrialFolder]) -> Iterator[Garbage]:
    wanted = _named_and_needed(runs)
    for folder in idle:
        if folder.signature not in wanted and _age(folder.path) > DAY_SECONDS:
            trial = folder.trial
            why = f"no name leads to it and no trial with one needs it (once {trial.experiment}/{trial.name})"
            yield _garbage(Kind.ORPHAN, folder.path, why, folder.signature)


def _named_and_needed(runs: Runs) -> set[str]:
    """Return the signatures that names lead to, and of everything that these need."""
    wanted: set[str] = set()
    open_ends = {folder.signature for _, _, folder in runs.names()}
    while open_ends:
        wanted |= open_ends
        folders = (runs.folder(signature) for signature in open_ends)
        open_ends = {need for folder in folders if folder.exists() for need in folder.needs().values()} - wanted
    return wanted


def _garbage(kind: Kind, path: Path, why: str, signature: str = "") -> Garbage:
    return Garbage(kind, path, _size(path), why, signature)


def _size(path: Path) -> int:
    """Return the bytes of a file, or of everything in a folder; what disappears meanwhile has none."""
    if path.is_symlink() or not path.is_dir():
        return _length(path)
    return sum(_length(Path(folder, name)) for folder, _, names in os.walk(path) for name in names)


def _length(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _age(path: Path) -> float:
    """Return the seconds since something was changed; what is gone is young."""
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(path: Path, root: Path) -> None:
    """Remove a file, or a folder: that under another name first, so that nobody meets half of it."""
    with named_failure(path):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            return
        beside = root if path.is_relative_to(root) else path.parent
        gone = path.rename(beside / f"{_DELETED}{token_hex(8)}")
        shutil.rmtree(gone)
