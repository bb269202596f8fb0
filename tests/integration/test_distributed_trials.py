"""Trials of two processes under the local launcher: one verdict, no orphans, and nothing lost by any kind of kill."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from orchestration.describe import Experiment, Resources
from orchestration.ending import Outcome
from orchestration.launch.worker import worker_command
from orchestration.plan import plan
from orchestration.runs import Runs

ROOT = Path(__file__).resolve().parents[2]
TASK = "tests.integration.team_task:task"


def make(runs, processes=2, seconds=0.0, **settings):
    config = {"steps": 40, "save_every": 4, "runtime.seconds_per_step": seconds}
    config |= {f"runtime.{name}": value for name, value in settings.items()}
    trial = plan([Experiment("e", TASK, config=config, resources=Resources(cpus=2, processes=processes))]).trials[0]
    folder = runs.create(trial)
    runs.ask(trial, [str(ROOT)])
    return folder


def start(folder):
    return subprocess.Popen(worker_command(folder), cwd=ROOT, text=True, stderr=subprocess.PIPE, start_new_session=True)


def work(folder):
    worker = start(folder)
    _, told = worker.communicate(timeout=120)
    return worker.returncode, told


def numbers(folder):
    return [(point.name, point.step, point.value) for point in folder.metrics()]


def wait_for_step(folder, step, seconds=120):
    deadline = time.monotonic() + seconds
    while not (points := folder.metrics()) or points[-1].step < step:
        assert time.monotonic() < deadline, f"step {step} was not reached"
        time.sleep(0.02)


def processes_of(worker, rank=None):
    """Return the supervised processes, ordered by rank."""
    found = {
        int(child.environ()["RANK"]): child
        for child in psutil.Process(worker.pid).children()
        if "orchestration.distributed.rank" in child.cmdline()
    }
    return [found[rank] for rank in sorted(found)]


def wait_until_gone(processes, seconds=15):
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def folder(tmp_path):
    return make(Runs(tmp_path / "runs"), seconds=0.05)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = make(Runs(tmp_path_factory.mktemp("undisturbed") / "runs"))
    assert work(folder) == (0, "")
    return numbers(folder)


@pytest.mark.slow
def test_two_processes_stop_at_the_same_step_and_go_on_from_there(folder):
    worker = start(folder)
    wait_for_step(folder, 6)
    worker.terminate()
    assert worker.wait(timeout=60) == 75, worker.communicate()[1]
    (attempt,) = folder.attempts()
    assert attempt.ending.outcome is Outcome.PREEMPTED
    assert attempt.ending.message == "stopped: signal SIGTERM"
    assert attempt.pid == worker.pid
    stopped_at = folder.metrics()[-1].step
    assert work(folder) == (0, "")
    first, second = folder.attempts()
    for rank, name in ((0, "stdout.log"), (1, "stdout.rank1.log")):
        assert f"process {rank} of 2, card {rank}, from 0\n" in (first.folder / name).read_text()
        assert f"process {rank} of 2, card {rank}, from {stopped_at}\n" in (second.folder / name).read_text()
    assert [step for _, step, _ in numbers(folder)] == list(range(1, 41))
    assert folder.result().attempt == 2
    assert folder.heartbeat().step == folder.heartbeat().total == 40
    assert (folder.heartbeat().pid, second.outcome) == (second.pid, Outcome.OK)


@pytest.mark.cluster
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_brings_the_attempt_down_and_the_next_one_goes_on(folder, rank, undisturbed):
    worker = start(folder)
    wait_for_step(folder, 6)
    team = processes_of(worker)
    team[rank].kill()
    assert worker.wait(timeout=60) != 0
    wait_until_gone(team, 0)
    (attempt,) = folder.attempts()
    assert attempt.ending.outcome is Outcome.LOST
    assert attempt.ending.message == f"process {rank}: ended by SIGKILL"
    assert work(folder) == (0, "")
    assert numbers(folder) == undisturbed


@pytest.mark.cluster
def test_a_killed_supervisor_leaves_no_orphans(folder, undisturbed):
    worker = start(folder)
    wait_for_step(folder, 6)
    team = processes_of(worker)
    worker.kill()
    worker.wait()
    wait_until_gone(team)
    assert folder.attempts()[0].ending is None
    assert work(folder) == (0, "")
    assert numbers(folder) == undisturbed


@pytest.mark.cluster
def test_the_failure_of_one_process_is_that_of_the_attempt(tmp_path):
    folder = make(Runs(tmp_path / "runs"), culprit=1, deed="raise", deed_at=7)
    code, told = work(folder)
    assert code == 1
    assert "error: process 1: RuntimeError: process 1 was told to fail" in told
    (attempt,) = folder.attempts()
    assert attempt.ending.outcome is Outcome.FAILED
    assert "RuntimeError: process 1 was told to fail" in (attempt.folder / "stderr.rank1.log").read_text()


@pytest.mark.cluster
def test_a_process_that_hangs_is_stopped_with_the_supervisor(tmp_path):
    folder = make(Runs(tmp_path / "runs"), culprit=1, deed="hang", deed_at=7)
    worker = start(folder)
    wait_for_step(folder, 7)
    team = processes_of(worker)
    worker.terminate()
    time.sleep(1)
    assert worker.poll() is None  # nothing can be saved: the launcher will lose its patience
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    wait_until_gone(team)


@pytest.mark.cluster
def test_signals_to_every_process_at_once_are_one_wish(folder):
    worker = start(folder)
    wait_for_step(folder, 6)
    for process in [*processes_of(worker), worker]:
        process.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 75
    assert folder.attempts()[0].ending.message == "stopped: signal SIGTERM"


def test_processes_share_the_cores_of_their_node(tmp_path):
    from orchestration.launch.worker import THREAD_VARIABLES, worker_environment

    environment = worker_environment(Resources(cpus=8, processes=2), "0,1", {})
    assert {environment[name] for name in THREAD_VARIABLES} == {"4"}
    assert environment["CUDA_VISIBLE_DEVICES"] == "0,1"
