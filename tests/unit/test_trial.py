"""One worker and one trial folder: resume, signals, failures, damage and a full disk."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from orchestration import stop
from orchestration.attempt import Attempt
from orchestration.checkpoints import Checkpoints
from orchestration.describe import Experiment, Need, Resources
from orchestration.ending import Outcome
from orchestration.errors import JournalError
from orchestration.journal_records import State
from orchestration.plan import plan
from orchestration.runs import Runs
from orchestration.stop import PARENT_VARIABLE
from orchestration.trial_state import state_of

TASK = "tests.integration.counting_task:task"
ROOT = Path(__file__).resolve().parents[2]
LONG = {"steps": 400, "runtime.seconds_per_step": 0.02, "save_every": 3}


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path / "runs")


def make(runs, config=None, **fields):
    trial = plan([Experiment("e", TASK, config=config or {}, **fields)]).trials[-1]
    folder = runs.create(trial)
    runs.ask(trial, [str(ROOT)])
    return folder


def start(folder, **settings):
    command = [sys.executable, "-m", "orchestration.trial", str(folder.path)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings)


def work(folder, **settings):
    """Run a worker to its end; return its exit code and what it told the terminal."""
    worker = start(folder, **settings)
    out, err = worker.communicate(timeout=60)
    return worker.returncode, out + err


def wait_for_step(folder, step, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        points = folder.metrics()
        if points and points[-1].step >= step:
            return
        time.sleep(0.01)
    pytest.fail(f"the trial did not reach step {step} in {seconds} s")


def values(folder):
    return [(point.name, point.step, point.value) for point in folder.metrics()]


@pytest.fixture
def uninterrupted(tmp_path):
    """Return a function that runs the same trial in another folder, undisturbed and without its pauses."""

    def run(config):
        quick = {key: value for key, value in config.items() if not key.startswith("runtime.")}
        folder = make(Runs(tmp_path / "undisturbed"), quick)
        assert work(folder)[0] == 0
        return folder

    return run


def test_a_trial_runs_to_its_result(runs):
    folder = make(runs)
    assert work(folder) == (0, "")
    (attempt,) = folder.attempts()
    assert state_of(folder) is State.DONE
    assert attempt.outcome is Outcome.OK
    assert attempt.stdout.read_text() == "counted to 20\n"
    assert attempt.provenance["git"]["commit"]
    assert attempt.provenance["command"][1:3] == ["-m", "orchestration.trial"]
    assert [point.step for point in folder.metrics()] == list(range(1, 21))
    assert folder.result().metrics == {"value": folder.metrics()[-1].value}
    assert folder.heartbeat().step == folder.heartbeat().total == 20
    assert len(list(folder.checkpoints.iterdir())) == 2


def test_a_worker_starts_without_heavy_libraries(runs):
    folder = make(runs)
    code = (
        "import sys, orchestration.trial as t; sys.argv[1:] = [sys.argv[1]]; t.main();"
        "print([n for n in ('torch', 'ray', 'mlflow', 'yacs', 'rich', 'typer') if n in sys.modules], file=sys.stderr)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder.path)], cwd=ROOT, check=True)
    assert folder.attempts()[0].stderr.read_text() == "[]\n"


def test_a_finished_trial_is_not_run_again(runs):
    folder = make(runs)
    work(folder)
    before = folder.result()
    assert work(folder) == (0, "default-seed0: already done\n")
    assert (folder.result(), len(folder.attempts())) == (before, 1)


def test_a_second_worker_leaves_a_running_trial_alone(runs):
    folder = make(runs, LONG)
    first = start(folder)
    wait_for_step(folder, 2)
    code, told = work(folder)
    assert code == 0
    assert f"already running (host {os.uname().nodename}, pid {first.pid}, attempt 1)" in told
    first.terminate()
    assert first.wait() == 75


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGKILL])
def test_a_trial_that_was_stopped_ends_with_the_same_numbers(runs, uninterrupted, number):
    config = {**LONG, "steps": 60}
    folder = make(runs, config)
    worker = start(folder)
    wait_for_step(folder, 20)
    worker.send_signal(number)
    worker.communicate()
    assert worker.returncode == (-9 if number == signal.SIGKILL else 75)
    assert not folder.is_done()
    assert work(folder)[0] == 0
    outcomes = [attempt.outcome for attempt in folder.attempts()]
    assert outcomes == [Outcome.LOST if number == signal.SIGKILL else Outcome.PREEMPTED, Outcome.OK]
    assert values(folder) == values(uninterrupted(config))
    resumed = next(event for event in folder.events() if event.kind == "resumed")
    assert resumed.attempt == 2
    assert resumed.details["step"] >= 18


def test_a_worker_that_was_taken_for_dead_writes_nothing_more(runs):
    folder = make(runs, LONG)
    worker = start(folder)
    wait_for_step(folder, 5)
    worker.send_signal(signal.SIGSTOP)
    assert Attempt.create(folder.path / "attempts" / "2") is not None
    files = [path for path in folder.path.rglob("*") if path.is_file() and path.suffix != ".log"]
    left = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    worker.send_signal(signal.SIGCONT)
    worker.communicate(timeout=60)
    assert worker.returncode == 75
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files} == left


def test_a_worker_stops_when_its_launcher_is_gone(runs):
    folder = make(runs, LONG)
    launcher = (
        "import os, subprocess, sys;"
        f"os.environ[{PARENT_VARIABLE!r}] = str(os.getpid());"
        "p = subprocess.Popen([sys.executable, '-m', 'orchestration.trial', sys.argv[1]]); sys.stdin.read()"
    )
    parent = subprocess.Popen([sys.executable, "-c", launcher, str(folder.path)], cwd=ROOT, stdin=subprocess.PIPE)
    wait_for_step(folder, 2)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while folder.attempts()[0].outcome is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert folder.attempts()[0].ending.message == "stopped: the launcher is gone"


def test_a_time_limit_saves_and_stops(runs):
    folder = make(runs, LONG, resources=Resources(hours=0.5 / 3600))
    assert work(folder)[0] == 75
    assert folder.attempts()[0].outcome is Outcome.TIMEOUT
    assert folder.checkpoints.exists()


def test_a_failure_leaves_its_traceback_and_where_to_find_it(runs):
    folder = make(runs, {"fail_at": 4})
    code, told = work(folder)
    (attempt,) = folder.attempts()
    assert code == 1
    assert told == f"error: RuntimeError: told to fail at step 4\n(log: {attempt.stderr})\n"
    assert "Traceback" in attempt.stderr.read_text()
    assert attempt.outcome is Outcome.FAILED
    work(folder)
    assert len({attempt.ending.error for attempt in folder.attempts()}) == 1


def test_a_users_mistake_is_told_without_a_traceback_and_not_retried(runs, monkeypatch):
    folder = make(runs, {"note": "user error"})
    code, told = work(folder)
    (attempt,) = folder.attempts()
    assert (code, attempt.ending.can_retry) == (2, False)
    assert attempt.stderr.read_text() == "error: note: 'user error' cannot be used\n"
    assert told.startswith("error: note: 'user error' cannot be used\n")


def test_a_damaged_checkpoint_is_put_aside_for_the_one_before_it(runs, uninterrupted):
    config = {**LONG, "steps": 60}
    folder = make(runs, config)
    worker = start(folder)
    wait_for_step(folder, 20)
    worker.kill()
    worker.communicate()
    older, newest = Checkpoints(folder.checkpoints).unnamed()
    content = bytearray(newest.read_bytes())
    content[len(content) // 3] ^= 0xFF
    newest.write_bytes(content)
    assert work(folder)[0] == 0
    damage, resumed = (event for event in folder.events() if event.kind in ("checkpoint_damaged", "resumed"))
    assert damage.details["path"] == newest.name
    assert resumed.details["step"] == int(older.stem.removeprefix("step_"))
    assert "damaged" in folder.attempts()[1].stderr.read_text()
    assert values(folder) == values(uninterrupted(config))


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"half a file"])
def test_a_checkpoint_of_rubbish_is_damaged(tmp_path, content):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({"step": 1}, 1, None)
    (tmp_path / "step_00000002.pth").write_bytes(content)
    damaged = []
    assert checkpoints.at(checkpoints.newest_step(damaged.append)) == {"step": 1}
    assert [path.name for path in damaged] == ["step_00000002.pth"]


def test_a_bit_that_flips_anywhere_in_a_checkpoint_is_damage_and_the_one_before_it_is_used(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save({"step": step, "weights": torch.full((4,), float(step))}, step, None)
    _, newest = checkpoints.unnamed()
    content = newest.read_bytes()
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        newest.write_bytes(flipped)
        damaged = []
        state = checkpoints.at(checkpoints.newest_step(damaged.append))
        assert damaged == [newest]
        assert state["weights"].tolist() == [1.0] * 4
    newest.write_bytes(content)
    assert checkpoints.at(checkpoints.newest_step(pytest.fail))["weights"].tolist() == [2.0] * 4


def test_a_checkpoint_is_a_plain_archive_that_torch_reads(tmp_path):
    path = Checkpoints(tmp_path).save({"weights": torch.arange(3.0), "step": 1}, 1, None)
    state = torch.load(path, weights_only=True)
    assert (state["weights"].tolist(), state["step"]) == ([0.0, 1.0, 2.0], 1)


def test_checkpoints_keep_tensors_the_last_two_and_the_named_ones(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 9, 10):
        checkpoints.save({"weights": torch.full((2,), float(step)), "key": (1, 2)}, step, None)
    checkpoints.save({"weights": torch.zeros(1)}, 10, "best.pth")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pth", "step_00000009.pth", "step_00000010.pth"]
    state = checkpoints.at(checkpoints.newest_step(pytest.fail))
    assert state["weights"].tolist() == [10.0, 10.0]
    assert state["key"] == (1, 2)


def test_a_state_that_would_run_code_when_read_is_refused_at_the_first_checkpoint(tmp_path):
    with pytest.raises(JournalError, match="something other than numbers, text, plain containers and tensors"):
        Checkpoints(tmp_path).save({"path": Path("somewhere")}, 1, None)


def test_a_need_that_is_not_done_keeps_the_trial_from_starting(runs):
    folder = make(runs, needs={"model": Need(Experiment("n", TASK))})
    code, told = work(folder)
    assert code == 1
    assert "its need 'model'" in told
    assert folder.attempts() == []


def test_a_full_disk_is_one_message_and_the_trial_can_be_completed_later(runs, uninterrupted):
    config = {"steps": 60, "note": "x" * 50}
    folder = make(runs, config)
    code, told = work(folder, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)))
    assert code == 74
    assert str(folder.path) in told
    assert "File too large" in told
    assert "Traceback" not in told
    assert not folder.is_done()
    assert not [path for path in folder.path.rglob(".*") if path.is_file()]
    assert work(folder)[0] == 0
    assert values(folder) == values(uninterrupted(config))


def test_a_folder_that_is_no_trial_is_named(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "orchestration.trial", str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 74
    assert ended.stderr.startswith(f"error: {tmp_path / 'trial.json'}: there is no such file")


def test_a_trial_planned_with_other_code_is_refused(runs, monkeypatch):
    from tests.integration.counting_task import CountingTask

    other = {**CountingTask().default_config(), "gone": 1}
    with monkeypatch.context() as patch:
        patch.setattr(CountingTask, "default_config", lambda self: other)
        from orchestration.resolve import defaults_of

        defaults_of.cache_clear()
        folder = make(runs)
    defaults_of.cache_clear()
    code, told = work(folder)
    assert code == 2
    assert "other keys than when the trial was planned: gone" in told


def test_a_cancelled_trial_saves_stops_and_is_not_started_again_until_asked_for(runs, uninterrupted):
    folder = make(runs, LONG)
    worker = start(folder)
    wait_for_step(folder, 5)
    folder.cancel("somebody")
    assert worker.wait(timeout=60) == 130
    (attempt,) = folder.attempts()
    step = folder.metrics()[-1].step
    assert (attempt.outcome, attempt.ending.message) == (Outcome.CANCELLED, f"cancelled at step {step}: somebody")
    assert state_of(folder) is State.CANCELLED
    code, told = work(folder)
    assert (code, len(folder.attempts())) == (130, 1)
    assert "default-seed0: cancelled by somebody; `oneshot run` or `oneshot retry` lets it run again" in told
    runs.ask(folder.trial, [str(ROOT)])
    assert work(folder)[0] == 0
    assert next(event for event in folder.events() if event.kind == "resumed").details["step"] == step
    assert values(folder) == values(uninterrupted(LONG))


def test_a_wish_counts_although_a_signal_was_faster(runs):
    folder = make(runs, LONG)
    worker = start(folder)
    wait_for_step(folder, 5)
    worker.send_signal(signal.SIGSTOP)
    folder.prune("worse than the others")
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGCONT)
    assert worker.wait(timeout=60) == 130
    last = folder.last_attempt()
    assert last.outcome is Outcome.PRUNED
    assert last.ending.message == f"pruned at step {folder.metrics()[-1].step}: worse than the others"


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_the_signals_of_a_cluster_are_understood(runs, number):
    folder = make(runs, LONG)
    worker = start(folder)
    wait_for_step(folder, 2)
    worker.send_signal(signal.SIGCONT)
    worker.send_signal(number)
    assert worker.wait(timeout=60) == 75
    assert folder.last_attempt().ending.message == f"stopped: signal {signal.Signals(number).name}"


def test_the_load_of_the_machine_is_sampled_until_it_cannot_be(runs, monkeypatch, caplog):
    monkeypatch.setattr(stop, "SAMPLE_SECONDS", 0.01)
    monkeypatch.setattr(stop, "WATCH_SECONDS", 0.01)
    folder = make(runs)
    answers = iter([{"system/a": 1.0}, {"system/a": 2.0}])
    pulse = stop.Pulse(folder, folder.claim(), stop.StopRequest(), None, lambda: next(answers))
    pulse.start()
    deadline = time.monotonic() + 20
    while "none are written any more" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    pulse.end()
    samples, _ = folder.samples_from(0)
    assert [(sample.attempt, sample.values) for sample in samples] == [(1, {"system/a": 1.0}), (1, {"system/a": 2.0})]
    assert caplog.text.count("system metrics: StopIteration") == 1
