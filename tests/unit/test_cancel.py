"""Cancelling: trials in every state, with real workers on a task that only counts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestration.cancel import cancel, cancellable, this_user
from orchestration.describe import Experiment
from orchestration.ending import Outcome
from orchestration.errors import DescriptionError
from orchestration.journal_records import State
from orchestration.plan import plan
from orchestration.runs import Runs
from orchestration.selection import choose, choose_all, choose_planned
from orchestration.trial_state import state_of

TASK = "tests.integration.counting_task:task"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path / "runs")


def make(runs, *names, **config):
    """Create, name and ask for trials of the experiment ``e``."""
    planned = plan([Experiment(name, TASK, {"steps": 400, "note": name, **config}) for name in names])
    for entry in planned.entries:
        runs.create(next(trial for trial in planned.trials if trial.signature == entry.signature))
        runs.link(entry)
    for trial in planned.trials:
        runs.ask(trial, [str(ROOT)])
    return planned


def start(folder):
    """Start a worker and wait until it counts."""
    worker = subprocess.Popen([sys.executable, "-m", "orchestration.trial", str(folder.path)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not folder.metrics_file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert folder.metrics_file.exists()
    return worker


def cancel_all(runs, patience_seconds=60.0):
    return cancel(cancellable(choose_all(runs), runs), patience_seconds)


def test_a_running_trial_saves_and_is_gone(runs):
    make(runs, "a", **{"runtime.seconds_per_step": 0.05})
    (folder,) = runs.folders()
    worker = start(folder)
    (ended,) = cancel_all(runs)
    assert worker.wait(timeout=60) == 130
    step = folder.metrics()[-1].step
    assert (ended.is_gone, ended.before) == (True, State.RUNNING)
    assert ended.message == f"cancelled at step {step}: {this_user()}"
    assert state_of(folder) is State.CANCELLED
    assert f"step_{step:08d}.pth" in {path.name for path in folder.checkpoints.iterdir()}


def test_one_that_does_not_look_is_killed_when_time_is_up(runs):
    make(runs, "a", **{"runtime.seconds_per_step": 0.05})
    (folder,) = runs.folders()
    worker = start(folder)
    os.kill(worker.pid, signal.SIGSTOP)
    (ended,) = cancel_all(runs, patience_seconds=0.0)
    assert worker.wait(timeout=60) == -signal.SIGKILL
    assert ended.is_gone
    assert ended.message == f"cancelled; killed without saving: {this_user()}"
    assert folder.last_attempt().outcome is Outcome.CANCELLED


def test_a_trial_whose_worker_is_gone_is_marked(runs):
    planned = make(runs, "a", **{"runtime.seconds_per_step": 0.05})
    (folder,) = runs.folders()
    worker = start(folder)
    worker.kill()
    worker.wait()
    runs.withdraw(planned.trials[0])
    assert state_of(folder) is State.LOST
    (ended,) = cancel_all(runs)
    assert (ended.is_gone, ended.message) == (True, "cancelled; its worker was gone already")
    assert state_of(folder) is State.CANCELLED


def test_queued_ones_are_marked_and_others_left_alone(runs):
    planned = make(runs, "a", "b", "c")
    runs.withdraw(planned.trials[1])
    runs.folder(planned.trials[2].signature).finish({"value": 1.0}, 1)
    (ended,) = cancel_all(runs)
    assert (ended.chosen.name, ended.message) == ("a/default-seed0", "cancelled before it started")
    assert list(runs.states(planned.trials).values()) == [State.CANCELLED, State.PLANNED, State.DONE]


def test_a_trial_is_meant_by_name_pattern_signature_or_folder(runs):
    planned = make(runs, "ab", "ac", "b")
    first, second, third = (trial.signature for trial in planned.trials)

    def meant(*patterns):
        return {one.folder.signature for one in choose(runs, patterns)}

    assert meant("ab/default-seed0") == meant(first[:10]) == meant(str(runs.folder(first).path)) == {first}
    assert meant("a?/*") == meant("ab/*", "ac/default-seed0") == {first, second}
    assert meant("default-seed0") == meant("*") == {first, second, third}
    assert [one.name for one in choose_planned(runs, [third, "0" * 64])] == ["b/default-seed0"]
    with pytest.raises(DescriptionError, match=r"x/\*: no such trial in .*; `oneshot status` lists them"):
        choose(runs, ["x/*"])
