"""Local launches that are interrupted and killed end with the numbers of an undisturbed one."""

import os
import random
import signal
import time

import pytest

from tests.integration.oneshot_project import PROMPT_SECONDS, Project, finish, interrupt

SLOW = ("file.py", "--seconds", "0.03", "--cpus", "2")
QUICK = ("file.py", "--cpus", "2")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("undisturbed"))
    code, out = project.run(*QUICK)
    assert code == 0, out
    assert all(len(folder.attempts()) == 1 for folder in project.runs.folders())
    return project.numbers()


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def require_completion(project, undisturbed):
    """Run again; everything is done with the right numbers and nothing that was done before is touched."""
    done = {folder.signature: folder.result() for folder in project.runs.folders() if folder.is_done()}
    code, out = project.run(*QUICK)
    assert code == 0, out
    assert project.numbers() == undisturbed
    assert {signature: project.runs.folder(signature).result() for signature in done} == done
    project.require_one_worker_at_a_time()


@pytest.mark.parametrize("seed", range(2))
def test_ctrl_c_saves_stops_and_the_next_run_continues(project, undisturbed, seed):
    process = project.start(*SLOW)
    project.wait_until_logged(random.Random(seed).randint(1, 120))
    code, seconds, out = interrupt(process)
    assert code == 130, out
    assert seconds < PROMPT_SECONDS
    assert "the same command continues" in out
    assert project.live_workers() == []
    outcomes = {folder.last_attempt().outcome for folder in project.runs.folders() if folder.last_attempt()}
    assert "preempted" in outcomes
    assert outcomes <= {"preempted", "ok", "lost"}  # lost: killed while Python started
    require_completion(project, undisturbed)


def test_killed_workers_are_started_again_in_the_same_launch(project, undisturbed):
    process = project.start(*SLOW)
    for seed in range(3):
        project.wait_until_logged(random.Random(seed).randint(1, 40))
        for pid in project.live_workers()[:1]:
            os.kill(pid, signal.SIGKILL)
    code, out = finish(process)
    assert code == 0, out
    assert project.numbers() == undisturbed
    attempts = [attempt.outcome for folder in project.runs.folders() for attempt in folder.attempts()]
    assert attempts.count("lost") >= 1
    project.require_one_worker_at_a_time()


def test_workers_of_a_killed_driver_save_and_stop(project, undisturbed):
    process = project.start(*SLOW)
    project.wait_until_logged(random.Random(7).randint(1, 60))
    process.kill()
    process.communicate()
    project.wait_until_idle()
    messages = [folder.last_attempt().ending.message for folder in project.runs.folders() if folder.last_attempt()]
    assert "stopped: the launcher is gone" in messages
    require_completion(project, undisturbed)


def test_two_launches_at_once_share_the_work(project, undisturbed):
    one, other = project.start(*SLOW), project.start(*SLOW)
    for process in (one, other):
        code, out = finish(process)
        assert code == 0, out
    assert project.numbers() == undisturbed
    assert all([a.outcome for a in folder.attempts()] == ["ok"] for folder in project.runs.folders())


def test_a_second_ctrl_c_does_not_wait(project):
    process = project.start("file.py", "--seconds", "30", "--cpus", "2")
    while len(project.live_workers()) < 2 and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.5)  # two signals at once are one
    code, seconds, _ = interrupt(process)
    assert code == 130
    assert seconds < PROMPT_SECONDS
    assert project.live_workers() == []
    assert not any(folder.is_done() for folder in project.runs.folders())
