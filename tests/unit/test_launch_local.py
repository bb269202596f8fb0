"""The local pool: room, order, failures; with real workers on a task that only counts."""

import io
import json

import pytest
from rich.console import Console

from orchestration.describe import Experiment, Need, Resources, Variant
from orchestration.ending import Outcome
from orchestration.errors import ExitCode, ResourcesError
from orchestration.journal_records import State
from orchestration.launch import Halt
from orchestration.launch.driver import launch, unfinished
from orchestration.launch.local import LocalLauncher, _Room
from orchestration.launch.machine import visible_gpus
from orchestration.launch.worker import worker_environment
from orchestration.plan import plan
from orchestration.runs import Runs
from orchestration.trial_state import state_of

TASK = "tests.integration.counting_task:task"


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path / "runs")


def start(descriptions, runs, **settings):
    out = io.StringIO()
    planned = plan(descriptions)
    summary = launch(planned, runs, LocalLauncher(**settings), Console(file=out, width=500))
    return planned, summary, out.getvalue()


def test_everything_runs_once_and_a_second_launch_finds_nothing_to_do(runs):
    experiment = Experiment("e", TASK, variants=[Variant("a"), Variant("b", {"steps": 3})], seeds=2)
    planned, summary, told = start([experiment], runs, cpus=2)
    assert (summary.exit_code, told) == (0, f"4 done; folder {runs.root}\n")
    again = start([experiment], runs, cpus=2)[1]
    assert again.exit_code == 0
    assert [len(runs.folder(trial.signature).attempts()) for trial in planned.trials] == [1] * 4
    assert [name for _, name, _ in runs.names()] == ["a-seed0", "a-seed1", "b-seed0", "b-seed1"]


def test_needs_are_run_first_and_their_folders_handed_over(runs):
    training = Experiment("training", TASK, seeds=2)
    reading = Experiment("reading", TASK, {"steps": 0}, seeds=2, needs={"m": Need(training)})
    planned, summary, _ = start([reading], runs, cpus=2)
    assert summary.exit_code == 0
    for trial in planned.trials_of("reading"):
        needed = runs.folder(trial.needs["m"]).result().metrics["value"]
        assert runs.folder(trial.signature).result().metrics["value"] == trial.seed + needed


def test_a_failure_blocks_what_needs_it_and_spares_the_rest(runs):
    training = Experiment("training", TASK, variants=[Variant("bad", {"fail_at": 2}), Variant("good")])
    reading = Experiment("reading", TASK, variants=[Variant("bad"), Variant("good")], needs={"m": Need(training)})
    planned, summary, told = start([training, reading], runs, cpus=2)
    assert summary.exit_code == ExitCode.FAILED
    assert [summary.states[trial.signature] for trial in planned.trials] == [
        State.FAILED,
        State.DONE,
        State.BLOCKED,
        State.DONE,
    ]
    bad = runs.folder(planned.trials[0].signature)
    assert "training/bad-seed0: failed: the same failure twice: RuntimeError: told to fail at step 2" in told
    assert f"log: {bad.attempts()[1].stderr}" in told
    assert len(bad.attempts()) == 2
    start([training, reading], runs, cpus=2)
    assert len(bad.attempts()) == 4  # a new launch has a new budget


def test_a_users_mistake_is_not_tried_again(runs):
    planned, summary, told = start([Experiment("e", TASK, {"note": "user error"})], runs, cpus=1)
    assert summary.exit_code == ExitCode.FAILED
    assert "e/default-seed0: failed: note: 'user error' cannot be used" in told
    assert len(runs.folder(planned.trials[0].signature).attempts()) == 1


def test_a_killed_worker_is_started_again_and_goes_on(runs, tmp_path):
    config = {"runtime.failures_file": str(tmp_path / "killed"), "runtime.kill_at": 12}
    planned, summary, _ = start([Experiment("e", TASK, config)], runs, cpus=1)
    folder = runs.folder(planned.trials[0].signature)
    assert summary.exit_code == 0
    assert [attempt.outcome for attempt in folder.attempts()] == [Outcome.LOST, Outcome.OK]
    assert folder.attempts()[0].ending.message == "ended by SIGKILL"
    assert next(event for event in folder.events() if event.kind == "resumed").details["step"] == 10


@pytest.mark.parametrize("wanted", [Resources(cpus=3), Resources(gpus=1)])
def test_resources_that_never_fit_are_refused_before_anything_starts(runs, monkeypatch, wanted):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ResourcesError, match=r"experiment 'e', trial 'default-seed0': asks for .* it would wait for"):
        start([Experiment("e", TASK, resources=wanted)], runs, cpus=2)
    assert runs.folders() == []


def test_more_cards_than_there_are_cannot_be_shared_out(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(ResourcesError, match="this machine has 2 visible graphics cards"):
        LocalLauncher(gpus=3)


@pytest.mark.parametrize(
    ("variable", "cards"), [("", []), ("0,2", ["0", "2"]), ("GPU-a", ["GPU-a"]), ("1,-1,2", ["1"])]
)
def test_the_environment_says_which_cards_there_are(monkeypatch, variable, cards):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_gpus() == cards


def test_cores_cards_and_slots_are_shared_out():
    room = _Room(cpus=4.0, cards=["0", "1"], slots=3)
    half = room.take(Resources(cpus=1, gpus=0.5))
    assert half.cards == ("0",)
    assert room.take(Resources(cpus=1, gpus=2)) is None
    assert room.take(Resources(cpus=1, gpus=0.5)).cards == ("0",)
    assert room.take(Resources(cpus=1, gpus=1)).cards == ("1",)
    assert room.take(Resources(cpus=0.5)) is None  # no slot is left
    room.give_back(half)
    assert room.take(Resources(cpus=3)) is None
    assert room.take(Resources(cpus=2)) is not None


def test_never_more_cores_in_use_than_there_are(runs):
    config = {"runtime.seconds_per_step": 0.02, "steps": 10}
    experiment = Experiment("e", TASK, config, seeds=4, resources=Resources(cpus=1))
    planned, _, _ = start([experiment], runs, cpus=3, slots=2)
    spans = [
        (attempt.started_ms, attempt.ended_ms)
        for trial in planned.trials
        for attempt in runs.folder(trial.signature).attempts()
    ]
    assert max(sum(begin <= at < end for begin, end in spans) for at, _ in spans) <= 2


def test_a_worker_sees_its_share_of_the_machine():
    environment = worker_environment(Resources(cpus=2.5), "", {"PYTHONPATH": "/mine", "OMP_NUM_THREADS": "64"})
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "2"
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert environment["PYTHONPATH"].startswith("/mine:")


def test_what_is_needed_only_by_finished_trials_is_not_run(runs):
    training = Experiment("training", TASK)
    planned, _, _ = start([Experiment("reading", TASK, needs={"m": Need(training)})], runs, cpus=1)
    needed = runs.folder(planned.trials[0].signature)
    (needed.path / "result.json").unlink()
    assert unfinished(planned, runs) == []


def test_a_halt_before_the_start_starts_nothing(runs):
    planned = plan([Experiment("e", TASK)])
    folder = runs.create(planned.trials[0])
    halt = Halt()
    halt.ask()
    LocalLauncher(cpus=1).run(planned.trials, runs, halt)
    assert folder.attempts() == []


def test_the_settings_of_a_launch_reach_the_worker(runs, tmp_path):
    planned, _, _ = start([Experiment("e", TASK, {"fail_at": 0})], runs, cpus=1)
    folder = runs.folder(planned.trials[0].signature)
    config = {"fail_at": 0, "runtime.seconds_per_step": 0.25}
    start([Experiment("e", TASK, config)], runs, cpus=1)
    assert json.loads((folder.path / "request.json").read_text())["settings"]["runtime.seconds_per_step"] == 0.25
    assert folder.trial_to_run().config["runtime"]["seconds_per_step"] == 0.25


def test_a_trial_that_somebody_cancelled_meanwhile_is_not_started(runs):
    planned = plan([Experiment("e", TASK, seeds=2)])
    for trial in planned.trials:
        runs.create(trial)
        runs.ask(trial, [])
    runs.folder(planned.trials[0].signature).cancel("somebody")
    given_up = LocalLauncher(cpus=1).run(planned.trials, runs, Halt())
    assert given_up == {planned.trials[0].signature: "cancelled by somebody"}
    assert [state_of(runs.folder(trial.signature)) for trial in planned.trials] == [State.CANCELLED, State.DONE]
