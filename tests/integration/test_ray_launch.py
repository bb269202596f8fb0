"""The same through Ray Tune: a cluster of its own on this machine, ended in every rude way."""

import os
import random
import signal
from pathlib import Path

import pytest

from orchestration.trial_state import state_of
from tests.integration.oneshot_project import PROMPT_SECONDS, Project, finish, interrupt

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

RAY = ("file.py", "--launcher", "ray", "--cpus", "2")
LOCAL = ("file.py", "--cpus", "2")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("undisturbed"))
    code, out = project.run(*LOCAL)
    assert code == 0, out
    return project.numbers()


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_ray_gives_the_numbers_of_a_local_run_and_survives_killed_workers(project, undisturbed):
    token = Path.home() / ".ray" / "auth_token"
    had_token = token.exists()
    process = project.start(*RAY, "--seconds", "0.05")
    project.wait_until_logged(random.Random(0).randint(1, 20))
    for pid in project.live_workers()[:1]:
        os.kill(pid, signal.SIGKILL)
    code, out = finish(process)
    assert code == 0, out
    assert project.numbers() == undisturbed
    outcomes = [attempt.outcome for folder in project.runs.folders() for attempt in folder.attempts()]
    assert outcomes.count("lost") == 1
    assert outcomes.count("ok") == 8
    assert list((project.runs.root / ".ray").iterdir()) == []
    assert token.exists() == had_token
    assert "Traceback" not in out
    assert "╭" not in out


@pytest.mark.cluster
def test_ctrl_c_saves_and_stops(project, undisturbed):
    process = project.start(*RAY, "--seconds", "0.1")
    project.wait_until_logged(random.Random(1).randint(2, 20))
    code, seconds, out = interrupt(process)
    assert code == 130, out
    assert seconds < PROMPT_SECONDS
    assert project.live_workers() == []
    last = [folder.last_attempt() for folder in project.runs.folders()]
    assert "preempted" in {attempt.outcome for attempt in last if attempt}
    code, out = project.run(*LOCAL)
    assert code == 0, out
    assert project.numbers() == undisturbed
    project.require_one_worker_at_a_time()


@pytest.mark.cluster
def test_workers_of_a_killed_driver_save_and_stop(project, undisturbed):
    process = project.start(*RAY, "--seconds", "0.1")
    project.wait_until_logged(random.Random(2).randint(2, 20))
    process.kill()
    process.wait()
    project.wait_until_idle()
    last = [folder.last_attempt() for folder in project.runs.folders()]
    assert {"preempted"} == {attempt.outcome for attempt in last if attempt}
    code, out = project.run(*RAY)
    assert code == 0, out
    assert project.numbers() == undisturbed
    project.require_one_worker_at_a_time()
    assert list((project.runs.root / ".ray").iterdir()) == []


@pytest.mark.cluster
def test_a_failure_is_tried_once_more_and_blocks_what_needs_it(project):
    content = project.file.read_text()
    project.file.write_text(content.replace('Variant("b", {"optim.lr": 1})', 'Variant("b", {"fail_at": 3})'))
    code, out = project.run(*RAY)
    assert code == 1, out
    states = project.runs.states(project.plan().trials)
    found = sorted(states[trial.signature].value for trial in project.plan().trials)
    assert found == ["blocked"] * 2 + ["done"] * 4 + ["failed"] * 2, out
    assert out.count("the same failure twice") == 2
    failed = [folder for folder in project.runs.folders() if state_of(folder) == "failed"]
    assert [len(folder.attempts()) for folder in failed] == [2, 2]


def test_a_cluster_that_does_not_answer_is_one_message(project):
    code, out = project.run("file.py", "--launcher", "ray", "--address", "127.0.0.1:1")
    assert code == 1
    assert "error: there is no Ray cluster at 127.0.0.1:1" in out
    assert "Traceback" not in out
