"""Running trials again from their folders alone."""

import io

import pytest
from rich.console import Console

from orchestration.describe import Experiment, Need, Variant
from orchestration.errors import DescriptionError
from orchestration.journal_records import State
from orchestration.launch.driver import launch
from orchestration.launch.local import LocalLauncher
from orchestration.plan import plan
from orchestration.relaunch import dependents, plan_again, retryable
from orchestration.runs import Runs
from orchestration.selection import choose, choose_all

TASK = "tests.integration.counting_task:task"


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path / "runs")


def start(planned, runs, import_paths=()):
    return launch(planned, runs, LocalLauncher(cpus=2), Console(file=io.StringIO(), width=500), import_paths)


def chain(failures_file):
    """Three trials in a row, the first of which fails until the file is there; and one that needs nothing."""
    config = {"runtime.failures_file": str(failures_file), "steps": 6, "note": "fails until told otherwise"}
    first = Experiment("first", TASK, config)
    second = Experiment("second", TASK, {"steps": 2}, needs={"m": Need(first)})
    third = Experiment("third", TASK, {"steps": 3}, needs={"m": Need(second)})
    return plan([first, second, third, Experiment("other", TASK, {"steps": 4}, variants=[Variant("x")])])


def fail(runs, planned):
    """Let the first trial of the chain have failed, and the others wait for it."""
    from orchestration.attempt import now_ms
    from orchestration.ending import Ending, Outcome

    for entry in planned.entries:
        runs.create(next(trial for trial in planned.trials if trial.signature == entry.signature))
        runs.link(entry)
    for trial in planned.trials:
        runs.ask(trial, [])
        runs.withdraw(trial)
    runs.folder(planned.trials[0].signature).claim().close(Ending(Outcome.FAILED, now_ms(), "broken"))


def test_a_failed_trial_runs_again_with_what_was_blocked_by_it(runs, tmp_path):
    planned = chain(tmp_path / "file")
    fail(runs, planned)
    trials = retryable(choose(runs, ["first/*"]), runs)
    assert list(trials.values()) == [State.FAILED]
    more = dependents([*trials], runs)
    assert [one.name for one in more] == ["second/default-seed0", "third/default-seed0"]
    summary = start(plan_again([*trials, *more], runs), runs, None)
    assert summary.exit_code == 0
    assert list(runs.states(planned.trials).values()) == [State.DONE, State.DONE, State.DONE, State.PLANNED]
    assert retryable(choose(runs, ["first/*"]), runs) == {}


def test_what_a_trial_needs_comes_first(runs, tmp_path):
    planned = chain(tmp_path / "file")
    fail(runs, planned)
    again = plan_again(choose(runs, ["third/*"]), runs)
    assert [trial.name for trial in again.trials] == [trial.name for trial in planned.trials[:3]]
    assert again.requested == {planned.trials[2].signature}
    (runs.folder(planned.trials[0].signature).path / "trial.json").unlink()
    with pytest.raises(DescriptionError, match=r"second/.*: what it needs as 'm' \(.*\) has no folder any more"):
        plan_again(choose(runs, ["third/*"]), runs)


def test_settings_and_import_paths_of_the_last_launch_are_kept(runs, tmp_path):
    planned = chain(tmp_path / "file")
    fail(runs, planned)
    (chosen,) = choose(runs, ["first/*"])
    runs.ask(planned.trials[0], ["/somewhere"])
    again = plan_again([chosen], runs).trials[0]
    runs.ask(again, None)
    request = chosen.folder.request()
    assert request.import_paths == ["/somewhere"]
    assert request.settings["runtime.failures_file"] == str(tmp_path / "file")


def test_a_name_that_went_over_to_a_later_trial_stays_there(runs):
    old, new = (plan([Experiment("e", TASK, {"steps": steps})]) for steps in (2, 3))
    for planned in (old, new):
        runs.create(planned.trials[0])
        runs.link(planned.entries[0])
    (orphan,) = choose(runs, [old.trials[0].short])
    start(plan_again([orphan], runs), runs)
    assert {name: folder.signature for _, name, folder in runs.names()} == {
        "default-seed0": new.trials[0].signature,
        f"default-seed0~{old.trials[0].short}": old.trials[0].signature,
    }


def test_a_cancelled_dependent_is_left_alone(runs, tmp_path):
    planned = chain(tmp_path / "file")
    fail(runs, planned)
    runs.folder(planned.trials[2].signature).cancel("somebody")
    assert [one.name for one in dependents(choose(runs, ["first/*"]), runs)] == ["second/default-seed0"]


def test_a_fresh_start_keeps_aside_what_was_there(runs):
    planned = plan([Experiment("e", TASK, {"steps": 20, "save_every": 5, "fail_at": 7})])
    start(planned, runs)
    (chosen,) = choose_all(runs)
    folder = chosen.folder
    before = folder.metrics_file.read_bytes()
    assert before.count(b"\n") == 9  # 7 steps, and the last two of them again after a resume at step 5
    for number in (1, 2):
        aside = folder.put_aside()
        assert (aside, list(folder.checkpoints.glob("*"))) == (folder.path / "aside" / str(number), [])
        assert (aside / "metrics.jsonl").read_bytes().startswith(before[:20])
        start(plan_again([chosen], runs), runs)
    assert [event.details["step"] for event in folder.events() if event.kind == "resumed"] == [5, 5, 5]
    assert len(folder.attempts()) == 6
