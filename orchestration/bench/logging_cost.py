"""By how much logging slows a training down."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from orchestration.attempt import Attempt
from orchestration.bench.case import Case, plan_of
from orchestration.bench.finding import Finding, Target, Unit
from orchestration.errors import LaunchError
from orchestration.runs import Runs
from orchestration.stop import Pulse, StopRequest
from orchestration.trial_run import TrialRun

STEP_SECONDS = 0.02
"""Processor time of a training step: shorter than any of a detector."""

METRICS = 10
STEPS = 100


def measure_logging(case: Case) -> Iterator[Finding]:
    """Compare the processor time of logging ten metrics per step with that of a short step of training."""
    trials = plan_of(case.sizes.repetitions).trials
    runs, shares = Runs(case.new_folder("logging")), []
    metrics = {f"metric_{k}": k / 7 for k in range(METRICS)}
    for trial in trials:
        folder = runs.create(trial)
        attempt, stop = folder.claim(), StopRequest()
        if not isinstance(attempt, Attempt):
            raise LaunchError(f"{folder.path}: somebody else is at work on a trial of the benchmark")
        pulse = Pulse(folder, attempt, stop, None)
        run = TrialRun(folder, trial, attempt, pulse, stop)
        logging = training = 0.0
        pulse.start()
        for step in range(1, STEPS + 1):
            begin = time.thread_time()
            _train()
            between = time.thread_time()
            run.log(metrics, step)
            run.progress(step, STEPS)
            training, logging = training + between - begin, logging + time.thread_time() - between
        run.close()
        pulse.end()
        shares.append(logging / training)
    note = f"{METRICS} metrics per step of {1000 * STEP_SECONDS:.0f} ms"
    yield Finding("logging", "training slowed by logging", Unit.SHARE, tuple(shares), target=Target(0.01), note=note)


def _train() -> None:
    begin, matrix = time.thread_time(), np.ones((64, 64))
    while time.thread_time() - begin < STEP_SECONDS:
        matrix = np.tanh(matrix @ matrix)
