"""Trial folders in a real SQLite store: a run for every trial, with its metrics."""

import json
import math

import pytest
from mlflow.tracking import MlflowClient

from orchestration.attempt import Outcome
from orchestration.tracking.mlflow_store import MlflowStore
from orchestration.tracking.sync import sync
from tests.unit.tracked_runs import MAP, parent, stored
from tests.unit.tracked_runs import no_store_from_outside as no_store_from_outside
from tests.unit.tracked_runs import root as root
from tests.unit.trial_folders import START_MS, create, done, end, finish, log, make_trial, start, vanish

STORED_MAP = "shelf-val-new-cl/mAP_at_0.50"


def test_a_finished_trial_is_one_run_under_its_experiment(root):
    trial = make_trial("rll", seed=3, tags={"loss": "RLL"})
    folder = done(root, trial, {MAP: {5: 0.25, 10: 0.5}, "loss": {5: 1.5, 10: math.nan}}, git={"commit": "abc123"})

    report = sync(root)

    assert (report.trials, report.created, report.updated, report.points) == (1, 1, 1, 4)
    store, runs = stored(root)
    run = runs["rll-seed3"]
    assert run.status == "FINISHED"
    assert run.tags["oneshot.signature"] == trial.signature
    assert run.tags["mlflow.parentRunId"] == parent(root).run_id
    assert run.tags["tag.loss"] == "RLL"
    assert run.tags["oneshot.folder"] == str(folder.path)
    assert run.tags["mlflow.source.git.commit"] == "abc123"
    assert run.params == {
        "train.optim.lr": "0.1",
        "train.optim.max_iter": "20",
        "eval.scales": "[0.5, 1.0]",
        "name": "a b",
    }
    assert run.metrics[STORED_MAP] == 0.5
    assert math.isnan(run.metrics["loss"])
    assert store.history(run.run_id, STORED_MAP) == {5: 0.25, 10: 0.5}
    assert parent(root).status == "FINISHED"


def test_points_keep_the_time_when_they_were_logged(root):
    done(root, make_trial(), {"loss": {7: 1.0}})
    sync(root)
    store, runs = stored(root)
    (point,) = store._client.get_metric_history(runs["base-seed0"].run_id, "loss")
    assert point.timestamp == START_MS + 7000


def test_final_metrics_that_were_never_logged_are_written_at_the_last_step(root):
    folder = create(root, make_trial())
    attempt = start(folder)
    log(folder, 20, {"loss": 1.0})
    finish(folder, attempt, {"loss": 0.9, MAP: 0.5})
    sync(root)
    store, runs = stored(root)
    assert store.history(runs["base-seed0"].run_id, STORED_MAP) == {20: 0.5}
    assert runs["base-seed0"].metrics["loss"] == 1.0


def test_syncing_again_changes_nothing(root):
    done(root, make_trial(), {"loss": {1: 1.0, 2: 2.0}})
    sync(root)
    again = sync(root)
    assert (again.created, again.updated, again.points) == (0, 0, 0)


def test_losing_the_marks_is_harmless(root):
    done(root, make_trial(), {"loss": {1: 1.0, 2: 2.0}})
    sync(root)
    for file in (root / ".tracking").glob("*.json"):
        file.unlink()

    again = sync(root)

    assert (again.created, again.updated) == (0, 1)
    store, runs = stored(root)
    assert len(store._client.get_metric_history(runs["base-seed0"].run_id, "loss")) == 2


def test_damaged_marks_are_harmless(root):
    done(root, make_trial(), {"loss": {1: 1.0}})
    sync(root)
    for file in (root / ".tracking").glob("*.json"):
        file.write_text("{ torn")
    assert sync(root).created == 0


def test_a_writer_that_died_after_creating_the_run_is_continued(root, monkeypatch):
    done(root, make_trial(), {"loss": {1: 1.0}})

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(MlflowStore, "log", die)
        sync(root)

    report = sync(root)

    assert (report.created, report.points) == (0, 1)
    _, runs = stored(root)
    assert runs["base-seed0"].status == "FINISHED"


def test_only_what_is_new_is_read_and_written(root):
    folder = create(root, make_trial())
    attempt = start(folder)
    log(folder, 1, {"loss": 1.0})
    assert sync(root).points == 1
    log(folder, 2, {"loss": 0.5})
    assert sync(root).points == 1
    finish(folder, attempt, {"loss": 0.5})
    assert sync(root).points == 0
    assert stored(root)[1]["base-seed0"].metrics["loss"] == 0.5


def test_steps_repeated_after_an_interruption_are_stored_once(root):
    folder = create(root, make_trial())
    attempt = start(folder)
    for step in (1, 2, 3):
        log(folder, step, {"loss": 1.0 / step})
    end(attempt, Outcome.PREEMPTED)
    sync(root)
    assert stored(root)[1]["base-seed0"].status == "KILLED"

    attempt = start(folder)
    log(folder, 3, {"loss": 1.0 / 3}, time_ms=START_MS + 50_000)
    log(folder, 4, {"loss": 0.7}, time_ms=START_MS + 51_000)
    sync(root)

    store, runs = stored(root)
    assert len(runs) == 1
    assert runs["base-seed0"].status == "RUNNING", "a run that resumes is reopened"
    assert parent(root).status == "RUNNING"
    points = store._client.get_metric_history(runs["base-seed0"].run_id, "loss")
    assert [point.step for point in points] == [1, 2, 3, 4]
    finish(folder, attempt, {})
    sync(root)
    assert stored(root)[1]["base-seed0"].status == parent(root).status == "FINISHED"


def test_a_step_repeated_with_another_value_takes_the_later_one(root):
    folder = create(root, make_trial())
    start(folder)
    log(folder, 1, {"loss": 9.0})
    sync(root)
    log(folder, 1, {"loss": 2.0}, time_ms=START_MS + 60_000)
    sync(root)
    store, runs = stored(root)
    assert runs["base-seed0"].metrics["loss"] == 2.0
    assert store.history(runs["base-seed0"].run_id, "loss") == {1: 2.0}


@pytest.mark.parametrize(
    ("outcome", "message", "status", "state"),
    [
        (Outcome.FAILED, "ValueError: no boxes", "FAILED", "failed"),
        (Outcome.CANCELLED, "", "KILLED", "cancelled"),
        (Outcome.PRUNED, "rung 1", "KILLED", "pruned"),
        (Outcome.LOST, "", "KILLED", "lost"),
    ],
)
def test_every_ending_has_its_status(root, outcome, message, status, state):
    end(start(create(root, make_trial())), outcome, message)
    sync(root)
    run = stored(root)[1]["base-seed0"]
    assert (run.status, run.tags["oneshot.state"]) == (status, state)
    assert run.tags["oneshot.reason"] == (message or outcome.value)


def test_a_worker_that_vanished_leaves_no_running_run(root):
    folder = create(root, make_trial())
    vanish(folder, start(folder))
    sync(root)
    assert stored(root)[1]["base-seed0"].status == parent(root).status == "KILLED"


def test_trials_that_never_started_get_no_run(root):
    create(root, make_trial("waiting"))
    done(root, make_trial("base"), {"loss": {1: 1.0}})
    sync(root)
    assert set(stored(root)[1]) == {"base-seed0"}
    assert parent(root).status == "KILLED", "the experiment is not finished"


def test_the_experiment_fails_with_a_trial(root):
    done(root, make_trial("base"), {"loss": {1: 1.0}})
    end(start(create(root, make_trial("other"))), Outcome.FAILED)
    sync(root)
    assert parent(root).status == "FAILED"


def test_infinite_values_are_tagged_and_stored_as_not_a_number(root):
    done(root, make_trial(), {"loss": {1: 1.0, 2: math.inf}})
    sync(root)
    run = stored(root)[1]["base-seed0"]
    assert run.tags["oneshot.not_finite"] == "loss"
    assert math.isnan(run.metrics["loss"])


def test_names_that_collide_are_told_and_spare_the_other_trials(root):
    done(root, make_trial("bad"), {"mAP@0.5": {1: 1.0}, "mAP_at_0.5": {1: 1.0}})
    done(root, make_trial("good"), {"mAP@0.5": {1: 1.0}})

    report = sync(root)

    (problem,) = report.problems
    assert problem.startswith("losses/bad-seed0: metrics 'mAP@0.5' and 'mAP_at_0.5'")
    assert stored(root)[1]["good-seed0"].status == "FINISHED"


def test_a_folder_of_a_newer_version_keeps_no_other_from_being_written(root):
    done(root, make_trial("good"), {"loss": {1: 1.0}})
    newer = create(root, make_trial("newer"))
    fields = json.loads((newer.path / "trial.json").read_text())
    (newer.path / "trial.json").write_text(json.dumps({**fields, "format": 99}, indent=1))
    report = sync(root)
    assert report.created == 1
    (problem,) = report.problems
    assert "a newer version of this program wrote it" in problem


def test_a_trial_of_two_experiments_has_one_run(root):
    trial = make_trial(experiment="first")
    folder = done(root, trial, {"loss": {1: 1.0}})
    second = root / "by-name" / "second"
    second.mkdir()
    (second / trial.name).symlink_to(f"../../{folder.signature}")

    assert sync(root, experiments=["second"]).created == 1
    assert sync(root).created == 0


def test_only_the_experiments_asked_for_are_written(root):
    done(root, make_trial(experiment="one"), {"loss": {1: 1.0}})
    done(root, make_trial("x", experiment="two"), {"loss": {1: 1.0}})
    assert sync(root, experiments=["two"]).created == 1
    assert set(stored(root)[1]) == {"x-seed0"}


def test_a_run_deleted_in_the_user_interface_comes_back(root):
    done(root, make_trial(), {"loss": {1: 1.0}})
    sync(root)
    store, runs = stored(root)
    MlflowClient(store.location.uri).delete_run(runs["base-seed0"].run_id)
    assert sync(root).created == 1
