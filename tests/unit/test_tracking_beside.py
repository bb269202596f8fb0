"""What a store has beside the metrics: tags, the load of the machine, files, the list of trials and tables."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestration.attempt import Outcome
from orchestration.describe import Column, Table
from orchestration.results import table_results
from orchestration.tables.sources import MlflowSource
from orchestration.tracking.sync import sync
from tests.unit.tracked_runs import MAP, parent, stored
from tests.unit.tracked_runs import no_store_from_outside as no_store_from_outside
from tests.unit.tracked_runs import root as root
from tests.unit.trial_folders import create, done, end, finish, log, make_plan, make_trial, sample, start


def artifact(store, run, path):
    """Return the bytes of a file that lies beside a run."""
    with TemporaryDirectory() as folder:
        return Path(store._client.download_artifacts(run.run_id, path, folder)).read_bytes()


def test_what_ran_it_is_told_in_tags(root, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    done(root, make_trial(), {"loss": {1: 1.0}}, launcher="slurm")
    sync(root)
    tags = stored(root)[1]["base-seed0"].tags
    assert tags["oneshot.launcher"] == "slurm"
    assert tags["oneshot.slurm_job"] == "7_3"
    assert tags["oneshot.outcome"] == "ok"


def test_long_parameters_become_artifacts(root):
    long = "x" * 7000
    done(root, make_trial(config={"note": long, "short": 1}), {"loss": {1: 1.0}})
    sync(root)
    store, runs = stored(root)
    run = runs["base-seed0"]
    assert run.params == {"short": "1"}
    assert run.tags["oneshot.long_params"] == "params/note.txt"
    assert artifact(store, run, "params/note.txt").decode() == long


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
    assert artifact(store, run, "pictures/a.png") == b"picture"
    assert "max_iter: 20" in artifact(store, run, "config.yaml").decode()
    assert json.loads(artifact(store, run, "provenance.json")) == [{"attempt": 1, "host": "here"}]
    assert (root / "mlartifacts" / "losses" / run.run_id / "artifacts" / "config.yaml").is_file()


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
    listed = artifact(store, runs["base-seed0"], "checkpoints.txt").decode()
    assert f"{folder.checkpoints / 'best.pth'}  7 bytes" in listed
    assert not list((root / "mlartifacts").rglob("*.pth"))


def test_the_experiment_lists_its_trials_once_none_is_running(root):
    done(root, make_trial("rll"), {"loss": {1: 0.5}, MAP: {1: 0.25}})
    attempt = start(create(root, make_trial("other")))
    sync(root)
    store, _ = stored(root)
    assert not list((root / "mlartifacts").rglob("trials.csv"))
    end(attempt, Outcome.FAILED)
    sync(root)
    head, *lines = artifact(store, parent(root), "trials.csv").decode().splitlines()
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
    assert "0.50" in artifact(store, parent(root), "tables/main.md").decode()
    assert {file.name for file in (root / "mlartifacts").rglob("main.*")} == {
        "main.md",
        "main.tex",
        "main.csv",
        "main.html",
        "main.json",
    }
