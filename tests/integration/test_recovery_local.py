"""Real trainings on this machine, hit by everything that can hit them, end bit for bit as if nothing had happened."""

import os
import random
import shutil
import signal
import time

import pytest

from tests.integration.oneshot_project import finish, interrupt
from tests.integration.random_kills import RandomKills
from tests.integration.recovery_project import require_complete, wait_for_workers, workers_of

pytestmark = pytest.mark.cluster

LAUNCH = ("file.py", "--cpus", "2")
THREE = (*LAUNCH, "--trials", "3")


@pytest.fixture
def project(undisturbed, tmp_path):
    return undisturbed.project(tmp_path)


def test_workers_killed_ten_times(project, undisturbed):
    kills = RandomKills(seed=1, longest_seconds=undisturbed.seconds / 2)
    launch = project.start(*THREE)
    kills.strike(launch, lambda: workers_of(launch.pid), count=10)
    code, out = finish(launch)
    assert code == 0, out
    assert len(kills.struck) >= 10
    require_complete(project, undisturbed, {"lost"})


def test_process_groups_of_workers_killed(project, undisturbed):
    kills = RandomKills(seed=2, longest_seconds=undisturbed.seconds / 2, group=True)
    launch = project.start(*LAUNCH)
    kills.strike(launch, lambda: workers_of(launch.pid), count=3)
    code, out = finish(launch)
    assert code == 0, out
    require_complete(project, undisturbed, {"lost"})


def test_drivers_killed_alone_and_with_their_workers(project, undisturbed):
    chance = random.Random(3)
    for together in (False, True, False, True):
        launch = project.start(*LAUNCH)
        wait_for_workers(launch)
        time.sleep(chance.uniform(0.0, undisturbed.seconds / 3))
        workers = workers_of(launch.pid)
        launch.kill()
        for pid in workers if together else ():
            os.kill(pid, signal.SIGKILL)
        launch.communicate()
        project.wait_until_idle(60)
    code, out = project.run(*LAUNCH)
    assert code == 0, out
    require_complete(project, undisturbed, {"lost", "preempted"})


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c(project, undisturbed, times):
    chance = random.Random(times)
    launch = project.start(*LAUNCH)
    wait_for_workers(launch, 2)
    time.sleep(chance.uniform(0.0, undisturbed.seconds))
    if times == 2:
        os.killpg(launch.pid, signal.SIGINT)
        time.sleep(0.3)  # two signals at once are one
    if launch.poll() is None:
        code, _, out = interrupt(launch)
        assert code in (0, 130), out
    assert project.live_workers() == []
    code, out = project.run(*LAUNCH)
    assert code == 0, out
    require_complete(project, undisturbed, {"lost", "preempted"})


def test_time_limit_reached_again_and_again(project, undisturbed):
    seconds = undisturbed.seconds
    for _ in range(4):
        launch = project.start(*LAUNCH, "--hours", f"{seconds / 2 / 3600:.9f}")
        while launch.poll() is None and project.outcomes().count("timeout") < 2:
            time.sleep(0.1)
        if project.outcomes().count("timeout") >= 2:
            break
        code, out = finish(launch)  # the machine has less to do than when they were timed, and they were through
        assert code == 0, out
        seconds = project.longest_attempt()
        shutil.rmtree(project.runs.root)
    else:
        pytest.fail(f"no limit was reached; the last one was {seconds / 2:.1f} s")
    interrupt(launch)
    code, out = project.run(*LAUNCH)
    assert code == 0, out
    require_complete(project, undisturbed, {"timeout", "preempted", "lost"})
