"""The trial folder: what is found in it, and what is derived from it."""

import json
import math
from dataclasses import replace

import pytest

from orchestration.attempt import now_ms
from orchestration.describe import Experiment, Need, Variant, seeds
from orchestration.durable import LineWriter
from orchestration.ending import Ending, Outcome
from orchestration.errors import JournalError, LaunchError, NewerFormatError
from orchestration.journal import FORMAT, TrialFolder
from orchestration.journal_records import Perturbation, State
from orchestration.plan import plan
from orchestration.runs import Runs
from orchestration.signature import flatten
from orchestration.slurm import queue
from orchestration.status import board_of_names
from orchestration.trial_state import state_of
from tests.unit.other_owners import claim_as, dead_owner

TASK = "tests.integration.counting_task:task"


@pytest.fixture
def planned():
    training = Experiment("training", TASK, variants=[Variant("a"), Variant("b+c")], seeds=seeds(2))
    return plan([training, Experiment("reading", TASK, seeds=2, needs={"m": Need("training", "a")})])


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path / "runs")


@pytest.fixture
def folder(runs, planned):
    return runs.create(planned.trials[0])


def test_metrics_come_back_by_step_with_the_last_value_and_the_first_time(folder):
    writer = LineWriter(folder.metrics_file)
    for step, time_ms, value in ((2, 10, 0.5), (1, 11, math.inf), (2, 12, math.nan)):
        writer.append({"step": step, "time_ms": time_ms, "attempt": 1, "metrics": {"loss": value}})
    first, second = folder.metrics()
    assert (first.step, first.value) == (1, math.inf)
    assert (second.step, second.time_ms) == (2, 10)
    assert math.isnan(second.value)


def test_reading_goes_on_where_it_ended(folder):
    writer = LineWriter(folder.metrics_file)
    writer.append({"step": 1, "time_ms": 1, "attempt": 1, "metrics": {"a": 1}})
    points, offset = folder.metrics_from(0)
    writer.append({"step": 2, "time_ms": 1, "attempt": 1, "metrics": {"a": 2}})
    assert [point.step for point in points] == [1]
    assert [point.step for point in folder.metrics_from(offset)[0]] == [2]


def test_the_same_trial_may_be_created_twice_and_another_may_not(runs, planned):
    trial = planned.trials[0]
    folder = runs.create(trial)
    runs.create(replace(trial, name="other", tags={"a": "b"}, config={**trial.config, "runtime": {"kill_at": 3}}))
    assert folder.trial == trial
    with pytest.raises(JournalError, match=r"trial\.json: it describes another trial than training/a-seed0"):
        runs.create(replace(trial, config={**trial.config, "steps": 3}))


def test_neutral_settings_and_resources_follow_the_last_request(runs, planned, folder):
    trial = planned.trials[0]
    moved = replace(trial, config={**trial.config, "runtime": {**trial.config["runtime"], "kill_at": 7}})
    runs.ask(moved, ["/some/where"])
    assert folder.trial_to_run().config == moved.config
    assert folder.trial.config == trial.config
    assert folder.request().import_paths == ["/some/where"]


def test_neutral_settings_may_come_and_go_between_versions_of_a_task(runs, planned, folder):
    trial = planned.trials[0]
    config = {key: value for key, value in trial.config.items() if key != "runtime"}
    newer = replace(trial, config={**config, "speed": {"threads": 2}}, neutral_keys=("runtime.", "speed."))
    runs.create(newer)
    runs.ask(newer, [])
    assert folder.trial_to_run().config == newer.config


def test_links_by_name_are_replaced_and_long_names_shortened(runs, planned):
    for trial in planned.trials[:2]:
        runs.create(trial)
    entry = planned.entries[0]
    runs.link(entry)
    runs.link(replace(entry, signature=planned.trials[1].signature))
    (named,) = runs.names()
    assert named[:2] == ("training", "a-seed0")
    assert named[2].signature == planned.trials[1].signature
    runs.link(replace(entry, name="x" * 300 + "/y"))
    assert len(runs.names()) == 2


def test_a_trial_is_found_by_name_signature_or_path(runs, planned, folder):
    runs.link(planned.entries[0])
    for text in ("a-seed0", "training/a-seed0", folder.signature[:6], str(folder.path)):
        assert [found.signature for found in runs.find(text)] == [folder.signature]
    assert runs.find("nothing") == []


@pytest.mark.parametrize("left", [b"", b"\0" * 64])
def test_what_was_not_synced_may_be_empty_after_a_power_failure(runs, planned, folder, left):
    claim_as(folder, 1, replace(dead_owner(), host="elsewhere"))
    (folder.path / "heartbeat").write_bytes(left)
    (folder.path / "request.json").write_bytes(left)
    assert folder.heartbeat() is None
    assert folder.request() is None
    assert state_of(folder) is State.RUNNING, "claimed just now, on a host that cannot be asked"
    assert folder.trial_to_run() == folder.trial
    (folder.path / "result.json").write_bytes(left)
    with pytest.raises(JournalError, match="not valid JSON"):
        folder.result()


def test_states_follow_from_the_folder(runs, planned, folder):
    trial = planned.trials[0]
    assert state_of(folder) is State.PLANNED
    runs.ask(trial, [])
    assert state_of(folder) is State.QUEUED
    claim = folder.claim()
    assert state_of(folder) is State.RUNNING
    claim.close(Ending(Outcome.PREEMPTED, now_ms()))
    assert state_of(folder) is State.QUEUED
    runs.withdraw(trial)
    assert state_of(folder) is State.CANCELLED
    claim = folder.claim()
    claim.close(Ending(Outcome.FAILED, now_ms(), "boom"))
    assert state_of(folder) is State.FAILED
    runs.ask(trial, [])
    assert state_of(folder) is State.QUEUED
    folder.finish({"value": math.nan}, 2)
    assert state_of(folder) is State.DONE
    assert math.isnan(folder.result().metrics["value"])


def test_a_trial_whose_worker_vanished_is_lost(folder):
    claim_as(folder, 1, dead_owner())
    assert state_of(folder) is State.LOST


def test_what_needs_a_failed_trial_is_blocked(runs, planned):
    needed = next(trial for trial in planned.trials if trial.name == "a-seed0")
    runs.create(needed).claim().close(Ending(Outcome.FAILED, now_ms()))
    states = {
        (t.experiment, t.name): s for t, s in zip(planned.trials, runs.states(planned.trials).values(), strict=True)
    }
    assert states["reading", "default-seed0"] is State.BLOCKED
    assert states["reading", "default-seed1"] is State.PLANNED
    assert runs.states_of(runs.folders()) == {needed.signature: State.FAILED}


def test_a_changed_file_is_named(folder):
    (folder.path / "result.json").write_text("{")
    with pytest.raises(JournalError, match=r"result\.json: not valid JSON"):
        folder.result()


def test_a_wish_to_cancel_holds_until_somebody_asks_again(runs, planned, folder):
    runs.ask(planned.trials[0], [])
    assert state_of(folder) is State.QUEUED
    folder.cancel("somebody")
    assert (state_of(folder), folder.cancel_wish().why) == (State.CANCELLED, "somebody")
    runs.ask(planned.trials[0], [])
    assert (state_of(folder), folder.cancel_wish()) == (State.QUEUED, None)


def test_a_wish_to_prune_holds_until_somebody_asks_again(runs, planned, folder):
    folder.prune("worse than the others")
    assert (state_of(folder), folder.prune_wish().why) == (State.PRUNED, "worse than the others")
    runs.ask(planned.trials[0], [])
    assert folder.prune_wish() is None


def test_a_running_trial_is_running_whatever_somebody_wishes(folder):
    folder.claim()
    folder.cancel("somebody")
    assert state_of(folder) is State.RUNNING


def test_a_folder_without_a_description_is_none_of_a_trial(tmp_path):
    with pytest.raises(JournalError, match=r"trial\.json: there is no such file; this is not the folder of a trial"):
        _ = TrialFolder(tmp_path).trial


def test_the_wish_of_a_person_counts_before_that_of_a_scheduler(folder):
    assert folder.wish() is None
    folder.prune("worse than the others")
    assert (folder.wish().outcome, folder.wish().told) == (Outcome.PRUNED, "pruned: worse than the others")
    folder.cancel("somebody")
    assert (folder.wish().outcome, folder.wish().told) == (Outcome.CANCELLED, "cancelled by somebody")


def test_what_needs_a_cancelled_trial_is_blocked(runs, planned):
    for trial in planned.trials:
        runs.create(trial)
    reading = planned.trials_of("reading")[0]
    assert runs.states([reading])[reading.signature] is State.PLANNED
    runs.folder(reading.needs["m"]).cancel("somebody")
    assert runs.states([reading])[reading.signature] is State.BLOCKED


def test_the_job_of_a_trial_outlives_the_request_of_another_launch(runs, planned, folder):
    with pytest.raises(JournalError, match="nobody asked for this trial"):
        runs.note_job(folder.signature, "slurm:7_1")
    runs.ask(planned.trials[0], [])
    runs.note_job(folder.signature, "slurm:7_1")
    runs.ask(planned.trials[0], [])
    assert folder.request().job == "slurm:7_1"


def test_a_trial_whose_job_the_scheduler_has_or_cannot_be_asked_for_is_queued(runs, planned, folder, monkeypatch):
    def cannot_tell():
        raise LaunchError("squeue: the controller does not answer")

    runs.ask(planned.trials[0], [])
    runs.note_job(folder.signature, "slurm:7_1")
    for answer, state in ((lambda: {"slurm:7_1"}, State.QUEUED), (set, State.PLANNED), (cannot_tell, State.QUEUED)):
        monkeypatch.setattr(queue, "snapshot", answer)
        assert state_of(folder, lives=lambda owner: False) is state


def test_the_member_of_a_population_runs_with_what_was_perturbed(runs, planned, folder):
    assert folder.perturbation() is None
    perturbation = Perturbation(generation=2, step=7, donor="0" * 64, settings={"optim.lr": 0.5})
    folder.perturb(perturbation)
    assert folder.perturbation() == perturbation
    runs.ask(planned.trials[0], [])
    assert flatten(folder.trial_to_run().config) == flatten(folder.trial.config) | perturbation.settings


def write_as_newer_version(folder):
    description = folder.path / "trial.json"
    fields = json.loads(description.read_text())
    description.write_text(json.dumps({**fields, "format": FORMAT + 1, "invented": "later"}))
    (folder.path / "request.json").write_text('{"invented": "later"}')


def test_the_folder_of_a_newer_version_is_one_clear_error(runs, planned, folder):
    write_as_newer_version(folder)
    again = runs.folder(folder.signature)
    for use in (again.trial_to_run, lambda: runs.create(planned.trials[0])):
        with pytest.raises(NewerFormatError, match=r"trial\.json: a newer version .* update this program, or choose"):
            use()


def test_a_folder_tells_what_it_needs_whoever_wrote_it(runs, planned):
    for trial in planned.trials:
        folder = runs.folder(trial.signature)
        assert folder.needs() == {}, "it was never launched"
        assert runs.create(trial).needs() == trial.needs
        assert json.loads((folder.path / "trial.json").read_text())["format"] == 1, "as the folders that there are"
        write_as_newer_version(folder)
        with pytest.raises(NewerFormatError):
            runs.folder(trial.signature).needs()


def test_the_folder_of_a_newer_version_is_a_line_in_the_status(runs, planned, folder):
    for entry in planned.entries:
        runs.create(next(trial for trial in planned.trials if trial.signature == entry.signature))
        runs.link(entry)
    write_as_newer_version(folder)
    board = board_of_names(runs)
    board.look()
    lines = board.lines()
    assert {line.signature for line in lines if line.state is State.UNKNOWN} == {folder.signature}
    line = next(line for line in lines if line.state is State.UNKNOWN)
    assert "a newer version of this program wrote it" in line.message
    assert runs.states(planned.trials)[folder.signature] is State.UNKNOWN


def test_metrics_that_were_started_afresh_are_read_from_their_beginning(folder):
    writer = LineWriter(folder.metrics_file)
    for step in range(3):
        writer.append({"step": step, "time_ms": 1, "attempt": 1, "metrics": {"a": 1}})
    _, offset = folder.metrics_from(0)
    folder.put_aside()
    for value in (2, 1_000_000):
        LineWriter(folder.metrics_file).append({"step": 0, "time_ms": 2, "attempt": 2, "metrics": {"a": value}})
        points, again = folder.metrics_from(offset)
        assert [point.value for point in points][:1] == [2]
        assert again == folder.metrics_file.stat().st_size


def test_what_is_put_aside_is_moved_and_history_stays(folder):
    assert folder.put_aside() is None
    left = {"metrics.jsonl", "system.jsonl", "heartbeat", "checkpoints", "artifacts"}
    for number in (1, 2):
        for name in ("checkpoints", "artifacts"):
            (folder.path / name).mkdir()
        for name in ("metrics.jsonl", "system.jsonl", "heartbeat", "events.jsonl"):
            (folder.path / name).write_text(f"{name} {number}")
        place = folder.put_aside()
        assert place == folder.path / "aside" / str(number)
        assert {path.name for path in place.iterdir()} == left
        assert {path.name for path in folder.path.iterdir()} == {"trial.json", "events.jsonl", "aside"}
    assert (folder.path / "aside" / "1" / "metrics.jsonl").read_text() == "metrics.jsonl 1"
