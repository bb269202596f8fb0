"""Stop trials for good, wherever they run, and wait until they are gone.

The wish is written into the trial's folder, where its worker sees it within a second, saves and ends, and where every
launcher looks before it starts a worker. Jobs that wait in a cluster's queue are taken out of it. A worker that does
not end in time is killed when it runs on this machine, and with its job when it runs in one.
"""

from __future__ import annotations

import getpass
import os
import signal
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestration.attempt import Attempt, now_ms
from orchestration.ending import Ending, Outcome
from orchestration.journal import TrialFolder
from orchestration.journal_records import State
from orchestration.runs import Runs
from orchestration.selection import Chosen

CANCELLABLE = (State.RUNNING, State.QUEUED, State.LOST)
"""What may still be worked on, now or later."""

KILL_SECONDS = 15.0
SETTLE_SECONDS = 0.5
"""A worker that looked for the wish just before it was written has claimed its trial by then."""
POLL_SECONDS = 0.1
QUEUE_SECONDS = 1.0


@dataclass(frozen=True)
class Cancelled:
    """How it went with one trial.

    Args:
        chosen: the trial.
        before: its state before.
        is_gone: whether nothing works on it any more.
        message: one line for people.
    """

    chosen: Chosen
    before: State
    is_gone: bool
    message: str


def cancellable(chosen: Sequence[Chosen], runs: Runs) -> dict[Chosen, State]:
    """Return those that somebody works on or may continue, with their state."""
    states = runs.states_of(one.folder for one in chosen)
    found = {one: states[one.folder.signature] for one in chosen}
    return {one: state for one, state in found.items() if state in CANCELLABLE}


def cancel(trials: dict[Chosen, State], patience_seconds: float) -> list[Cancelled]:
    """Stop trials for good and wait until they are gone; those that do not end in time are killed.

    Args:
        trials: with their states.
        patience_seconds: how long workers may take to save.
    """
    for one in trials:
        one.folder.cancel(this_user())
    _cancel_jobs(one.folder for one, state in trials.items() if state is not State.RUNNING)
    if trials:
        time.sleep(SETTLE_SECONDS)
    left = _wait([*trials], patience_seconds)
    if left:
        _cancel_jobs(one.folder for one in left)
        killed = [one for one in left if _kill(one.folder)]
        _wait(killed or left, KILL_SECONDS)
    return [_conclude(one, state) for one, state in trials.items()]


def this_user() -> str:
    """Return who asks, for people to read."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container in which the user has no name
        name = f"user {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def _wait(trials: Sequence[Chosen], seconds: float) -> list[Chosen]:
    """Wait until all trials are gone or asked for again; return those that are not when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        trials = [one for one in trials if not _is_gone(one.folder) and one.folder.cancel_wish() is not None]
        if not trials or time.monotonic() >= deadline:
            return list(trials)
        time.sleep(POLL_SECONDS)


def _is_gone(folder: TrialFolder) -> bool:
    last = folder.last_attempt()
    if last is not None and last.is_live():
        return False
    return folder.is_done() or not _waits_in_queue(folder)


def _waits_in_queue(folder: TrialFolder) -> bool:
    request = folder.request()
    if request is None or not request.job:
        return False
    from orchestration.slurm.queue import snapshot

    return request.job in snapshot(QUEUE_SECONDS)


def _cancel_jobs(folders: Iterable[TrialFolder]) -> None:
    requests = (folder.request() for folder in folders)
    jobs = sorted({request.job for request in requests if request is not None and request.job})
    if jobs:
        from orchestration.slurm.queue import cancel_jobs

        cancel_jobs(jobs)


def _kill(folder: TrialFolder) -> bool:
    """Kill the worker of a trial, with its children; tell whether it could be done from here."""
    last = folder.last_attempt()
    if last is None or last.ending is not None or not last.owner.is_alive():
        return False
    try:
        if os.getpgid(last.pid) == last.pid:  # as launchers start it; one started by hand shares its shell's group
            os.killpg(last.pid, signal.SIGKILL)
        else:
            os.kill(last.pid, signal.SIGKILL)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True


def _conclude(one: Chosen, before: State) -> Cancelled:
    folder = one.folder
    last = folder.last_attempt()
    wish = folder.cancel_wish()
    if folder.is_done():
        folder.forget_wishes()
        return Cancelled(one, before, True, "it was faster: it is done")
    if wish is None:
        return Cancelled(one, before, False, "somebody asked for it again meanwhile")
    if last is not None and last.is_live():
        return Cancelled(one, before, False, _still_there(last))
    if _waits_in_queue(folder):
        return Cancelled(one, before, False, "its job is still in the queue; see `squeue --me`")
    if last is None:
        return Cancelled(one, before, True, "cancelled before it started")
    if last.ending is not None and last.outcome is not Outcome.CANCELLED:
        return Cancelled(one, before, True, "cancelled while it waited to be continued")
    if last.ending is None:
        how = "its worker was gone already" if before is State.LOST else f"killed without saving: {wish.why}"
        last.close(Ending(Outcome.CANCELLED, now_ms(), f"cancelled; {how}"))
        last = folder.last_attempt() or last
    return Cancelled(one, before, True, last.ending.message if last.ending else "cancelled")


def _still_there(last: Attempt) -> str:
    return (
        f"still running on host {last.host} (pid {last.pid}), where it cannot be killed from here; it ends when it "
        "looks at its folder"
    )
