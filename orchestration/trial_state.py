"""Where a trial stands: derived from what its folder holds, and never stored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from orchestration.claim import Owner
from orchestration.ending import Outcome
from orchestration.errors import LaunchError
from orchestration.journal import TrialFolder
from orchestration.journal_records import State

logger = logging.getLogger(__name__)

_FINAL = {
    Outcome.FAILED: State.FAILED,
    Outcome.OOM: State.FAILED,
    Outcome.CANCELLED: State.CANCELLED,
    Outcome.PRUNED: State.PRUNED,
}


def state_of(folder: TrialFolder, lives: Callable[[Owner], bool | None] = Owner.is_alive) -> State:
    """Return where a trial stands, as far as its own folder tells; ``Runs.states`` looks at its needs too.

    Args:
        folder: of the trial.
        lives: tells of a launcher whether it lives; who looks at many trials asks once per launcher.
    """
    names = folder.file_names()  # of most files only that they are not there has to be known
    if "result.json" in names:
        return State.DONE
    last = folder.last_attempt() if "attempts" in names else None
    if last is not None and last.is_live():
        return State.RUNNING
    if last is not None and last.outcome is Outcome.OK and folder.is_done():  # it finished between the two looks
        return State.DONE
    if "cancel.json" in names:
        return State.CANCELLED
    if "prune.json" in names:
        return State.PRUNED
    request = folder.request_fields() if "request.json" in names else None
    expected = request is not None and _is_looked_after(request, lives)
    if expected and request is not None and request["attempts_before"] == (last.number if last else 0):
        return State.QUEUED
    if last is None:
        return State.PLANNED
    if last.outcome in _FINAL:
        return _FINAL[last.outcome]
    if expected:
        return State.QUEUED
    return State.LOST if last.outcome in (None, Outcome.LOST, Outcome.NODE_FAIL) else State.CANCELLED


def _is_looked_after(request: Mapping[str, Any], lives: Callable[[Owner], bool | None]) -> bool:
    """Tell whether a launcher that lives, or a job that its scheduler still has, will start or continue the trial."""
    if request["launcher"] and lives(Owner.from_dict(request["launcher"])):
        return True
    return bool(request.get("job")) and _scheduler_has(request["job"])


def _scheduler_has(job: str) -> bool:
    from orchestration.slurm.queue import snapshot  # runs commands: only where a trial names a job

    try:
        return job in snapshot()
    except LaunchError as error:
        logger.warning("%s; a trial whose job cannot be asked for counts as queued", error)
        return True
