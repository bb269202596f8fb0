"""The commands on real launches: detach, cancel what runs and what waits, run it again from the folders alone."""

import json
import os
import signal
import time
from collections import Counter

import pytest

from orchestration.drivers import live_drivers
from tests.integration.oneshot_project import Project, finish, records

LOCAL = ("--launcher", "local", "--cpus", "2")


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path, program="orchestration.cli")


@pytest.fixture
def launched(project):
    """Launch slow trials that nobody waits for; end the launch whatever happens."""
    code, out = project.run("run", "file.py", *LOCAL, "--seconds", "0.3", "--detach", "--json")
    assert code == 0, out
    driver = json.loads(out)
    yield driver
    for left in live_drivers(project.runs.root):
        os.kill(left.owner.pid, signal.SIGKILL)


def states(project):
    return Counter(state.value for state in project.runs.states(project.plan().trials).values())


def wait_for_the_driver(project):
    deadline = time.monotonic() + 120
    while live_drivers(project.runs.root) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert live_drivers(project.runs.root) == []


def test_a_detached_launch_is_cancelled_and_run_again_without_its_description(project, launched):
    deadline = time.monotonic() + 60
    while not live_drivers(project.runs.root) and time.monotonic() < deadline:
        time.sleep(0.1)
    (driver,) = live_drivers(project.runs.root)
    assert (driver.owner.pid, driver.log) == (launched["pid"], launched["log"])
    assert os.getsid(driver.owner.pid) == driver.owner.pid
    project.wait_until_logged(8)
    assert f"launched by process {driver.owner.pid} on" in project.run("status")[1]
    code, out = project.run("cancel", "counts/*", "--json")
    assert code == 0, out
    before = Counter((record["before"], record["gone"]) for record in records(out))
    assert before == {("running", True): 2, ("queued", True): 2}
    wait_for_the_driver(project)  # what is left is blocked, so that it has nothing more to do
    assert states(project) == {"cancelled": 4, "blocked": 4}
    assert "4 cancelled, 4 blocked" in (project.folder / driver.log).read_text()
    project.file.unlink()
    stopped_at = {folder.signature: folder.metrics()[-1].step for folder in project.runs.folders() if folder.metrics()}
    code, out = finish(project.start("retry", "counts/a-seed?", *LOCAL, "--yes"))
    assert code == 0, out
    assert "and 2 that need them" in out
    done = {name for _, name, folder in project.runs.names() if folder.is_done()}
    assert done == {"a-seed0", "a-seed1"}
    for signature, step in stopped_at.items():
        resumed = [event for event in project.runs.folder(signature).events() if event.kind == "resumed"]
        assert [event.details["step"] for event in resumed] == [step]


def test_a_detached_launch_that_fails_at_once_says_why(project):
    (project.folder / "runs").mkdir()
    (project.folder / "runs" / "mlflow.db").write_text("no database")
    code, out = project.run("run", "file.py", *LOCAL, "--detach")
    assert code != 0
    assert "error: the detached launch ended at once (exit code" in out
    assert "mlflow.db" in out
    assert states(project) == {"planned": 8}
