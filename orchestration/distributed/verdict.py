"""One ending for an attempt of several processes, out of what each of them said and how each of them ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestration.attempt import now_ms
from orchestration.distributed.meeting import Report, StopWish
from orchestration.ending import Ending, Outcome
from orchestration.errors import ExitCode
from orchestration.stop import StopReason

_STOPPED = {
    StopReason.TIME_LIMIT: Outcome.TIMEOUT,
    StopReason.CANCELLED: Outcome.CANCELLED,
    StopReason.PRUNED: Outcome.PRUNED,
}


def verdict(reports: Sequence[Report], wish: StopWish | None, given_up: str | None) -> Ending:
    """Return how the attempt ended.

    The first process decides as long as it did not fail. Otherwise the cause is looked for among the processes that
    were killed or crashed, then among those that failed by themselves: who only lost another one says "resume me".

    Args:
        reports: in the order in which they were made; a negative exit code is a signal.
        wish: for an early end.
        given_up: why the supervisors killed the processes, if they did.
    """
    first = next((report.ending for report in reports if report.rank == 0), None)
    if first is not None and not _is_failure(first):
        return first
    failures = [report for report in reports if _is_failure(report.ending)]
    struck = [report for report in failures if (report.ending.exit_code or 0) < 0]
    causes = [report for report in failures if report.ending.exit_code != ExitCode.RESUME_ME]
    if struck or causes:
        culprit = (struck + causes)[0]
        return replace(culprit.ending, message=f"process {culprit.rank}: {culprit.ending.message}")
    if wish is not None:
        message = f"stopped: {wish.reason} {wish.detail}".strip() + "; the processes left at different steps"
        outcome = _STOPPED.get(wish.reason, Outcome.PREEMPTED)
        is_final = wish.reason in (StopReason.CANCELLED, StopReason.PRUNED)
        exit_code = ExitCode.INTERRUPTED if is_final else ExitCode.RESUME_ME
        return Ending(outcome, now_ms(), message, exit_code=exit_code)
    if given_up is not None:
        return Ending(Outcome.NODE_FAIL, now_ms(), given_up)
    if failures:
        return Ending(Outcome.LOST, now_ms(), f"process {failures[0].rank}: {failures[0].ending.message}")
    return Ending(Outcome.LOST, now_ms(), "its processes vanished without a word")


def _is_failure(ending: Ending) -> bool:
    return ending.outcome in (Outcome.FAILED, Outcome.OOM, Outcome.LOST)
