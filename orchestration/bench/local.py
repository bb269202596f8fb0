"""What a trial costs on this machine besides its process: claim, provenance, result, and the launcher's bookkeeping."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from orchestration.bench.case import SOURCE, Case, plan_of, seconds_of
from orchestration.bench.finding import Finding, Target
from orchestration.errors import LaunchError
from orchestration.launch import Halt
from orchestration.launch.local import LocalLauncher
from orchestration.launch.worker import worker_environment
from orchestration.plan import Trial
from orchestration.runs import Runs

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
        ours.append(seconds_of(partial(_launch, trials, runs)) / len(trials))
        bare.append(seconds_of(partial(_start_bare, trials, case.folder)) / len(trials))
    yield Finding("local", "local: a trial that does nothing", ours=tuple(ours), bare=tuple(bare), bare_title="process")
    yield Finding(
        "local",
        "local: of that our own work, process start excluded",
        ours=tuple(a - b for a, b in zip(ours, bare, strict=True)),
        target=Target(0.02),
        note="one trial at a time; the bare process imports what a worker imports",
    )


def _launch(trials: Sequence[Trial], runs: Runs) -> None:
    given_up = LocalLauncher(slots=1).run(trials, runs, Halt())
    if given_up:
        raise LaunchError(f"a trial of the benchmark was given up: {next(iter(given_up.values()))}")


def _start_bare(trials: Sequence[Trial], folder: Path) -> None:
    for trial in trials:
        environment = worker_environment(trial.resources, "", os.environ)
        subprocess.run(BARE, cwd=folder, env=environment, check=True, start_new_session=True)
