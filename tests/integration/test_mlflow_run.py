"""What MLflow holds after real launches: finished, interrupted, killed and continued."""

import json
import os
import signal

import pytest

from orchestration.tracking.mlflow_store import MlflowStore
from orchestration.tracking.store_location import StoreLocation
from tests.integration.oneshot_project import STEPS, Project, interrupt, without_addresses

TABLE = """
    from orchestration.describe import Column, Table
    yield Table("t", "Counting", counts, [Column("last", "value"), Column("largest", "value", "max", digits=2)])
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project = Project(tmp_path, program="orchestration.cli")
    project.file.write_text(project.file.read_text() + TABLE)
    return project


def stored(project):
    store = MlflowStore(StoreLocation.resolve(project.runs.root))
    trials = {
        run.tags["oneshot.experiment"] + "/" + run.tags["oneshot.trial"]: run
        for run in store.runs({"oneshot.kind": "trial"})
    }
    parents = {run.tags["oneshot.experiment"]: run for run in store.runs({"oneshot.kind": "experiment"})}
    assert len(store.runs({"oneshot.kind": "trial"})) == len(trials), "one run per trial"
    return store, trials, parents


@pytest.mark.slow
def test_a_launch_that_ends_leaves_everything_finished(project):
    code, out = project.run("run", "file.py", "--launcher", "local")
    assert code == 0, out

    store, trials, parents = stored(project)

    assert len(trials) == 8
    assert {run.status for run in [*trials.values(), *parents.values()]} == {"FINISHED"}
    assert all(
        run.tags["mlflow.parentRunId"] == parents[run.tags["oneshot.experiment"]].run_id for run in trials.values()
    )
    for folder in project.runs.folders():
        run = trials[f"{folder.trial.experiment}/{folder.trial.name}"]
        assert store.history(run.run_id, "value") == {point.step: point.value for point in folder.metrics()}
    of_store, of_folders = (
        json.loads(project.run("table", "file.py", "--json", "--from", source)[1]) for source in ("mlflow", "runs")
    )
    assert without_addresses(of_store) == of_folders
    assert all("/#/" in cell["address"] for cell in of_store)
    assert {cell["state"] for cell in of_folders} == {"done"}
    assert project.run("sync", "--json")[1].count('"updated": 0') == 1


@pytest.mark.slow
def test_an_interrupted_launch_leaves_no_running_run_and_is_continued_in_the_same_runs(project):
    process = project.start("run", "file.py", "--launcher", "local", "--seconds", "0.1", "--only", "counts")
    project.wait_until_logged(20)
    assert interrupt(process)[0] == 130
    _, before, parents = stored(project)
    assert {run.status for run in before.values()} <= {"KILLED", "FINISHED"}
    assert parents["counts"].status == "KILLED"

    code, out = project.run("run", "file.py", "--launcher", "local", "--only", "counts")

    assert code == 0, out
    store, after, parents = stored(project)
    assert {run.status for run in after.values()} == {"FINISHED"}
    assert parents["counts"].status == "FINISHED"
    for name, run in before.items():
        assert after[name].run_id == run.run_id
        points = store._client.get_metric_history(run.run_id, "value")
        assert [point.step for point in points] == list(range(1, STEPS + 1)), "no step twice"


@pytest.mark.slow
def test_a_killed_driver_is_put_right_by_the_next_sync(project):
    process = project.start("run", "file.py", "--launcher", "local", "--seconds", "0.1", "--only", "counts")
    project.wait_until_logged(20)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pid in project.live_workers():
        os.kill(pid, signal.SIGKILL)
    project.wait_until_idle()

    code, out = project.run("sync")

    assert code == 0, out
    _, trials, parents = stored(project)
    assert {run.status for run in trials.values()} == {"KILLED"}
    assert parents["counts"].status == "KILLED"
