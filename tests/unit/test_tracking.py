"""Trial folders in a real SQLite store."""

import json
import math
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import mlflow.store.db_migrations
import pytest
from alembic.script import ScriptDirectory
from filelock import FileLock

from orchestration.attempt import Outcome
from orchestration.describe import Column, Table
from orchestration.results import table_results
from orchestration.tables.sources import MlflowSource
from orchestration.tracking.mlflow_store import MlflowStore
from orchestration.tracking.store_location import StoreError, StoreLocation
from orchestration.tracking.sync import Follower, sync
from tests.unit.trial_folders import (
    START_MS,
    create,
    done,
    end,
    finish,
    log,
    make_plan,
    make_trial,
    put_empty_store,
    sample,
    start,
    vanish,
)

REPOSITORY = Path(__file__).resolve().parents[2]
MAP = "shelf-val-new-cl/mAP@0.50"
STORED_MAP = "shelf-val-new-cl/mAP_at_0.50"


@pytest.fixture(autouse=True)
def no_store_from_outside(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def root(tmp_path):
    put_empty_store(tmp_path / "runs")
    return tmp_path / "runs"


def stored(root):
    store = MlflowStore(StoreLocation.resolve(root))
    return store, {run.tags["oneshot.trial"]: run for run in store.runs({"oneshot.kind": "trial"})}


def parent(root):
    (run,) = MlflowStore(StoreLocation.resolve(root)).runs({"oneshot.kind": "experiment"})
    return run


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


def test_losing_the_store_makes_it_again(root):
    done(root, make_trial(), {"loss": {1: 1.0}})
    sync(root)
    (root / "mlflow.db").unlink()

    code = f"from pathlib import Path; from orchestration.tracking.sync import sync; print(sync(Path({str(root)!r})))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)

    assert "created=1, updated=1, points=1" in ended.stdout


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


def test_nothing_started_makes_no_store(tmp_path):
    create(tmp_path, make_trial())
    sync(tmp_path)
    assert not (tmp_path / "mlflow.db").exists()


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


def test_long_parameters_become_artifacts(root):
    long = "x" * 7000
    done(root, make_trial(config={"note": long, "short": 1}), {"loss": {1: 1.0}})
    sync(root)
    store, runs = stored(root)
    run = runs["base-seed0"]
    assert run.params == {"short": "1"}
    assert run.tags["oneshot.long_params"] == "params/note.txt"
    assert artifact(store, run, "params/note.txt").read_text() == long


def test_artifacts_are_copied_when_the_trial_is_done(root):
    folder = create(root, make_trial())
    attempt = start(folder, {"host": "here"})
    (folder.artifacts / "pictures").mkdir(parents=True)
    (folder.artifacts / "pictures" / "a.png").write_bytes(b"picture")
    sync(root)
    finish(folder, attempt, {"loss": 1.0})
    sync(root)
    store, runs = stored(root)
    run = runs["base-seed0"]
    assert artifact(store, run, "pictures/a.png").read_bytes() == b"picture"
    assert "max_iter: 20" in artifact(store, run, "config.yaml").read_text()
    assert json.loads(artifact(store, run, "provenance.json").read_text()) == [{"attempt": 1, "host": "here"}]
    assert (root / "mlartifacts" / "losses" / run.run_id / "artifacts" / "config.yaml").is_file()


def artifact(store, run, path):
    return Path(store._client.download_artifacts(run.run_id, path))


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
    store.delete_run(runs["base-seed0"].run_id)
    assert sync(root).created == 1


def test_a_store_that_cannot_be_written_is_named(root, tmp_path):
    done(root, make_trial(), {"loss": {1: 1.0}})
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(StoreError, match=f"cannot write into {file}"):
        sync(root, tracking_uri=f"sqlite:///{file}/m.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_read_only_database_is_named(root):
    done(root, make_trial(), {"loss": {1: 1.0}})
    sync(root)
    (root / "mlflow.db").chmod(stat.S_IREAD)
    with pytest.raises(StoreError, match=r"mlflow\.db is not writable"):
        sync(root)


def test_a_second_writer_is_told_after_its_deadline(root):
    done(root, make_trial(), {"loss": {1: 1.0}})
    (root / ".tracking").mkdir()
    with FileLock(root / ".tracking" / "lock"), pytest.raises(StoreError, match="another process has been writing"):
        sync(root, wait_seconds=0.2)


def test_the_follower_writes_in_the_background_and_finishes_at_the_end(root):
    folder = create(root, make_trial())
    follower = Follower(root, ["losses"], seconds=0.05)
    attempt = start(folder)
    log(folder, 1, {"loss": 1.0})
    follower.tick()
    finish(folder, attempt, {"loss": 1.0})

    report = follower.close()

    assert report is not None
    assert not report.busy
    assert stored(root)[1]["base-seed0"].status == parent(root).status == "FINISHED"


def test_the_follower_never_raises(root, tmp_path, caplog):
    done(root, make_trial(), {"loss": {1: 1.0}})
    (tmp_path / "file").write_text("")
    follower = Follower(root, tracking_uri=f"sqlite:///{tmp_path}/file/m.db", seconds=0.01)
    follower.tick()
    assert follower.close() is None
    assert "run `oneshot sync` later: nothing is lost" in caplog.text


def test_nothing_is_printed_even_when_the_tables_are_made(tmp_path):
    done(tmp_path, make_trial(), {"loss": {1: 1.0}})
    code = f"from pathlib import Path; from orchestration.tracking.sync import sync; sync(Path({str(tmp_path)!r}))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert (ended.stdout, ended.stderr) == ("", "")


def test_what_ran_it_is_told_in_tags(root, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    done(root, make_trial(), {"loss": {1: 1.0}}, launcher="slurm")
    sync(root)
    tags = stored(root)[1]["base-seed0"].tags
    assert tags["oneshot.launcher"] == "slurm"
    assert tags["oneshot.slurm_job"] == "7_3"
    assert tags["oneshot.outcome"] == "ok"


def test_the_load_of_the_machine_becomes_system_metrics(root):
    trial = make_trial()
    folder = create(root, trial)
    attempt = start(folder)
    log(folder, 1, {"loss": 1.0})
    sample(folder, attempt.started_ms + 10_000, {"system/cpu_utilization_percentage": 12.5})
    assert sync(root).points == 1
    sample(folder, attempt.started_ms + 20_000, {"system/cpu_utilization_percentage": 50.0})
    finish(folder, attempt, {"loss": 1.0})
    sync(root)
    store, runs = stored(root)
    run = runs["base-seed0"]
    assert store.history(run.run_id, "system/cpu_utilization_percentage") == {10: 12.5, 20: 50.0}
    assert MlflowSource(root).results([trial])[trial.signature].metric_names == ["loss"]


def test_the_load_is_news_by_itself(root):
    folder = create(root, make_trial())
    attempt = start(folder)
    log(folder, 1, {"loss": 1.0})
    sync(root)
    for second in range(10, 1200, 10):
        sample(folder, attempt.started_ms + second * 1000, {"system/cpu_utilization_percentage": 1.0})
    assert sync(root).updated == 1


def test_of_a_long_trial_a_part_of_the_load_is_enough(root):
    folder = create(root, make_trial())
    attempt = start(folder)
    for second in range(3600, 3720, 10):
        sample(folder, attempt.started_ms + second * 1000, {"system/cpu_utilization_percentage": 1.0})
        if second == 3650:
            sync(root)
    finish(folder, attempt, {})
    sync(root)
    store, runs = stored(root)
    history = store.history(runs["base-seed0"].run_id, "system/cpu_utilization_percentage")
    assert list(history) == [3600, 3660]


def test_checkpoints_are_named_and_not_copied(root):
    folder = create(root, make_trial())
    attempt = start(folder)
    folder.checkpoints.mkdir()
    (folder.checkpoints / "best.pth").write_bytes(b"weights")
    finish(folder, attempt, {"loss": 1.0})
    sync(root)
    store, runs = stored(root)
    listed = artifact(store, runs["base-seed0"], "checkpoints.txt").read_text()
    assert f"{folder.checkpoints / 'best.pth'}  7 bytes" in listed
    assert not list((root / "mlartifacts").rglob("*.pth"))


def test_a_password_in_the_address_is_not_shown():
    location = StoreLocation.resolve(Path("runs"), "postgresql://me:secret@host/db")
    assert location.shown == "postgresql://host/db"
    assert location.uri == "postgresql://me:secret@host/db"


def test_a_store_of_an_older_mlflow_is_left_as_it_is(root):
    done(root, make_trial(), {"loss": {1: 1.0}})
    (root / "mlflow.db").unlink()
    older = make_older_store(root / "mlflow.db")
    before = (root / "mlflow.db").read_bytes()
    with pytest.raises(
        StoreError, match=rf"older MLflow \(schema {older}.*then run `mlflow db upgrade sqlite:///{root}"
    ):
        sync(root)
    assert (root / "mlflow.db").read_bytes() == before


def test_a_store_of_a_newer_mlflow_is_told(root):
    done(root, make_trial(), {"loss": {1: 1.0}})
    with sqlite3.connect(root / "mlflow.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'f00000000000'")
    connection.close()
    with pytest.raises(StoreError, match=r"made by a newer MLflow .*pip install --upgrade mlflow"):
        sync(root)


def make_older_store(database):
    """Make what is needed of a database that MLflow made some versions ago; return its schema."""
    migrations = Path(mlflow.store.db_migrations.__file__).parent
    older = [script.revision for script in ScriptDirectory(str(migrations)).walk_revisions()][20]
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    connection.execute("CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name VARCHAR(256))")
    connection.execute("INSERT INTO alembic_version VALUES (?)", (older,))
    connection.commit()
    connection.close()
    return older


def test_the_experiment_lists_its_trials_once_none_is_running(root):
    done(root, make_trial("rll"), {"loss": {1: 0.5}, MAP: {1: 0.25}})
    attempt = start(create(root, make_trial("other")))
    sync(root)
    store, _ = stored(root)
    assert not list((root / "mlartifacts").rglob("trials.csv"))
    end(attempt, Outcome.FAILED)
    sync(root)
    head, *lines = artifact(store, parent(root), "trials.csv").read_text().splitlines()
    assert head == f"trial,variant,seed,state,loss,{MAP},group,signature"
    assert [line.split(",")[:6] for line in lines] == [
        ["other-seed0", "other", "0", "failed", "", ""],
        ["rll-seed0", "rll", "0", "done", "0.5", "0.25"],
    ]


def test_tables_are_kept_beside_the_experiment(root):
    trial = make_trial()
    done(root, trial, {"loss": {1: 0.5, 2: 0.25}})
    plan = make_plan([trial], [Table("main", "Main", "losses", [Column("loss", "loss", "max", digits=2)])])
    (table,) = table_results(plan, root, None, from_folders=False)
    assert table.cells[0][0].mean == 0.5
    store, _ = stored(root)
    assert "0.50" in artifact(store, parent(root), "tables/main.md").read_text()
    assert {file.name for file in (root / "mlartifacts").rglob("main.*")} == {
        "main.md",
        "main.tex",
        "main.csv",
        "main.html",
        "main.json",
    }


def test_a_folder_of_a_newer_version_keeps_no_other_from_being_written(root):
    done(root, make_trial("good"), {"loss": {1: 1.0}})
    newer = create(root, make_trial("newer"))
    fields = json.loads((newer.path / "trial.json").read_text())
    (newer.path / "trial.json").write_text(json.dumps({**fields, "format": 99}, indent=1))
    report = sync(root)
    assert report.created == 1
    (problem,) = report.problems
    assert "a newer version of this program wrote it" in problem
