"""Many trial folders in all the states of a sweep under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from orchestration.attempt import Attempt, now_ms
from orchestration.durable import LineWriter
from orchestration.ending import Ending, Outcome
from orchestration.errors import LaunchError
from orchestration.journal import TrialFolder
from orchestration.journal_records import Heartbeat
from orchestration.plan import Plan
from orchestration.runs import Runs

WRITERS = 8
STATES: Sequence[str] = ("done", "done", "done", "done", "failed", "running", "preempted", "lost", "queued", "planned")
"""Of ten trials in a row; those that run belong to this process."""


def make_trials(root: Path, plan: Plan, states: Sequence[str] = STATES, steps: int = 1) -> Runs:
    """Create the folders of a plan's trials, in these states in turn, each with so many logged steps."""
    runs = Runs(root)
    makers: dict[str, Callable[[TrialFolder, Attempt], None]] = {
        "done": _finish,
        "failed": lambda folder, attempt: _end(attempt, Outcome.FAILED, "RuntimeError: it broke"),
        "preempted": lambda folder, attempt: _end(attempt, Outcome.PREEMPTED, "stopped: signal SIGTERM"),
        "lost": lambda folder, attempt: _end(attempt, Outcome.LOST, "ended by SIGKILL"),
        "running": _beat,
    }

    def make(index: int) -> None:
        trial, state = plan.trials[index], states[index % len(states)]
        folder = runs.create(trial)
        runs.link(plan.entries[index])
        if state == "queued":
            runs.ask(trial, ())
        if state in makers:
            attempt = folder.claim()
            if not isinstance(attempt, Attempt):
                raise LaunchError(f"{folder.path}: somebody else is at work on a trial of the benchmark")
            _log(folder, attempt, steps)
            makers[state](folder, attempt)

    with ThreadPoolExecutor(WRITERS) as writers:  # each waits for the disk most of the time
        for _ in writers.map(make, range(len(plan.trials))):
            pass
    return runs


def _log(folder: TrialFolder, attempt: Attempt, steps: int) -> None:
    writer = LineWriter(folder.metrics_file)
    for step in range(1, steps + 1):
        metrics = {"loss": 1 / step, "accuracy": 1 - 1 / step}
        writer.append({"step": step, "time_ms": now_ms(), "attempt": attempt.number, "metrics": metrics})
    writer.close()


def _finish(folder: TrialFolder, attempt: Attempt) -> None:
    folder.finish({"loss": 0.5, "accuracy": 0.5}, attempt.number)
    _end(attempt, Outcome.OK, "")


def _end(attempt: Attempt, outcome: Outcome, message: str) -> None:
    attempt.close(replace(Ending(outcome, now_ms()), message=message))


def _beat(folder: TrialFolder, attempt: Attempt) -> None:
    folder.beat(Heartbeat(now_ms() / 1000, attempt.number, attempt.host, attempt.pid, 1, 100))
