"""What a trial costs on this machine besides its process: claim, provenance, result, and the launcher's bookkeeping."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestration.bench.case import SOURCE, Case, plan_of, seconds_of
from orchestration.bench.finding import Finding, Target
from orchestration.errors import LaunchError
from orchestration.launch import Halt
from orchestration.launch.local import LocalLauncher
from orchestration.launch.worker import worker_environment
from orchestration.runs import Runs
from orchestration.trial_description import Trial

BARE = [sys.executable, "-c", "import orchestration.trial, orchestration.bench.tasks"]
"""A process that imports what a worker imports, and ends."""


def measure_local(case: Case) -> Iterator[Finding]:
    """Run trials that do nothing one after another, and as many bare processes in between."""
    trials = plan_of(case.sizes.local_trials).trials
    ours, bare = [], []
    for _ in case.rounds():
        runs = Runs(case.new_folder("local"))
        for trial in trials:
            runs.create(trial)
            runs.ask(trial, (SOURCE,))
        ours.append(_cost(partial(_launch, trials, runs)).per(len(trials)))
        bare.append(_cost(partial(_start_bare, trials, case.folder)).per(len(trials)))
    yield Finding(
        "local",
        "local: a trial that does nothing",
        ours=tuple(cost.seconds for cost in ours),
        bare=tuple(cost.seconds for cost in bare),
        bare_title="process",
        note="one trial at a time; the bare process imports what a worker imports, and ends",
    )
    yield Finding(
        "local",
        "local: of that our own work, process start excluded",
        ours=(min(a.seconds for a in ours) - min(b.seconds for b in bare),),
        target=Target(0.02),
    )
    yield Finding(
        "local",
        "local: processor time of our own work",
        ours=(min(a.cpu_seconds for a in ours) - min(b.cpu_seconds for b in bare),),
        note="processor time is that of the launcher, its workers and their git; other load hardly changes it",
    )


@dataclass(frozen=True)
class _Cost:
    """Of a call: time that passed, and processor time of this process and all that it waited for."""

    seconds: float
    cpu_seconds: float

    def per(self, count: int) -> _Cost:
        return _Cost(self.seconds / count, self.cpu_seconds / count)


def _cost(call: Callable[[], object]) -> _Cost:
    before = _cpu_seconds()
    seconds = seconds_of(call)
    return _Cost(seconds, _cpu_seconds() - before)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _launch(trials: Sequence[Trial], runs: Runs) -> None:
    given_up = LocalLauncher(slots=1).run(trials, runs, Halt())
    if given_up:
        raise LaunchError(f"a trial of the benchmark was given up: {next(iter(given_up.values()))}")


def _start_bare(trials: Sequence[Trial], folder: Path) -> None:
    for trial in trials:
        environment = worker_environment(trial.resources, "", os.environ)
        subprocess.run(BARE, cwd=folder, env=environment, check=True, start_new_session=True)
