"""Trials in a Ray cluster of two nodes that runs already: over both of them, and when one of them is lost."""

from collections import Counter

import pytest

from orchestration.ending import Outcome
from tests.integration.oneshot_project import Project, finish

pytest.importorskip("ray")
pytestmark = pytest.mark.cluster

TEAM = """
from orchestration.describe import Experiment, Resources

def describe(seconds: float = 0.0, nodes: int = 2):
    config = {"steps": 40, "save_every": 4, "runtime.seconds_per_step": seconds}
    team = Resources(cpus=2, nodes=nodes, processes=1)
    yield Experiment("team", "tests.integration.team_task:task", config, resources=team)
"""


@pytest.fixture
def project(tmp_path, ray_cluster, monkeypatch):
    for name, value in ray_cluster.environment.items():
        monkeypatch.setenv(name, value)
    return Project(tmp_path)


def test_a_lost_node_costs_its_trials_an_attempt_and_no_result(project, ray_cluster, tmp_path):
    process = project.start("file.py", "--launcher", "ray", "--address", ray_cluster.address, "--seconds", "0.25")
    project.wait_until_logged(20)
    places = {pid: ray_cluster.raylet_of(pid) for pid in project.live_workers()}
    assert set(places.values()) == {0, 1}, "the trials were not spread over both nodes"
    ray_cluster.kill_node(1)
    code, out = finish(process, 300)
    assert code == 0, out
    outcomes = Counter(attempt.outcome for folder in project.runs.folders() for attempt in folder.attempts())
    assert outcomes[Outcome.OK] == 8
    assert outcomes[Outcome.PREEMPTED] + outcomes[Outcome.LOST] >= 1
    local = Project(tmp_path / "undisturbed")
    assert local.run("file.py", "--cpus", "2")[0] == 0
    assert project.numbers() == local.numbers()
    project.require_one_worker_at_a_time()


def test_a_trial_over_two_nodes_stops_and_goes_on(project, ray_cluster):
    project.file.write_text(TEAM)
    ray = ("file.py", "--launcher", "ray", "--address", ray_cluster.address)
    code, out = project.run(*ray, "--nodes", "3")
    assert code == 2
    assert "asks for 3 nodes of 2 cpus and 0 gpus, but only 2 such are there" in out
    process = project.start(*ray, "--seconds", "0.1")
    project.wait_until_logged(8)
    process.terminate()
    assert finish(process)[0] == 130
    (folder,) = project.runs.folders()
    assert folder.last_attempt().ending.message == "stopped: signal SIGTERM"
    code, out = project.run(*ray)
    assert code == 0, out
    first, second = folder.attempts()
    assert (first.outcome, second.outcome) == (Outcome.PREEMPTED, Outcome.OK)
    assert "process 0 of 2, card 0, from 0\n" in first.stdout.read_text()
    assert "process 1 of 2, card 0, from 0\n" in (first.folder / "stdout.rank1.log").read_text()
    assert [point.step for point in folder.metrics()] == list(range(1, 41))


def test_the_token_is_asked_for(project, ray_cluster, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 48)
    code, out = project.run("file.py", "--launcher", "ray", "--address", ray_cluster.address)
    assert code == 1, out
    assert "Traceback" not in out
    assert "oken" in out
