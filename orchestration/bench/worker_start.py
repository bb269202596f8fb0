"""How long it takes from the start of a worker's process to the first line of its task."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial

from orchestration.bench.case import SOURCE, Case, plan_of, seconds_of
from orchestration.bench.finding import Finding, Target
from orchestration.durable import read_whole
from orchestration.errors import LaunchError
from orchestration.launch.worker import Worker
from orchestration.runs import Runs
from orchestration.trial_description import Trial

STARTS = 3


def measure_worker_start(case: Case) -> Iterator[Finding]:
    """Start workers of a task without torch, and the bare interpreter in between."""
    root = case.new_folder("start")
    runs, ours, bare = Runs(root), [], []
    trials = plan_of(STARTS * case.sizes.repetitions).trials
    for trial in trials:
        ours.append(_start(runs, trial))
        bare.append(seconds_of(partial(subprocess.run, [sys.executable, "-c", "pass"], check=True)))
    yield Finding(
        "worker-start",
        "worker: start of the process to first line of the task",
        ours=tuple(ours),
        bare=tuple(bare),
        bare_title="python -c pass",
        target=Target(1.0),
        note="imports, claim, provenance with git; no torch",
    )


def _start(runs: Runs, trial: Trial) -> float:
    folder = runs.create(trial)
    runs.ask(trial, (SOURCE,))
    begin = time.time()
    worker = Worker(folder, trial.resources, "")
    while not worker.has_ended():
        time.sleep(0.001)
    worker.conclude(0)
    begun = read_whole(folder.path / "begun.json")
    if begun is None:
        raise LaunchError(f"{folder.path}: the worker of the benchmark did not reach its task; see its attempts")
    return float(begun) - begin
