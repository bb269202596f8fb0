"""Real trainings in Ray, whose workers, actors, raylets and driver are killed, end as if nothing had happened."""

import os
import random
import signal
import time

import psutil
import pytest

from tests.integration.oneshot_project import finish, interrupt
from tests.integration.random_kills import RandomKills
from tests.integration.ray_cluster import RayCluster
from tests.integration.recovery_project import require_complete, wait_for_workers, workers_of

pytest.importorskip("ray")
pytestmark = pytest.mark.cluster

LAUNCH = ("file.py", "--launcher", "ray", "--cpus", "2")


@pytest.fixture
def project(undisturbed, tmp_path):
    return undisturbed.project(tmp_path)


def actors_of(launch):
    """Return the processes of Ray that have a worker of ours as a child."""
    return [psutil.Process(pid).ppid() for pid in workers_of(launch)]


def raylets_of(launch):
    return [process.pid for process in psutil.Process(launch).children(recursive=True) if process.name() == "raylet"]


def test_workers_killed_ten_times(project, undisturbed):
    kills = RandomKills(seed=11, longest_seconds=undisturbed.seconds / 2)
    launch = project.start(*LAUNCH, "--trials", "3")
    kills.strike(launch, lambda: workers_of(launch.pid), count=10)
    code, out = finish(launch)
    assert code == 0, out
    assert len(kills.struck) >= 10
    require_complete(project, undisturbed, {"lost"})


def test_actors_killed(project, undisturbed):
    kills = RandomKills(seed=12, longest_seconds=undisturbed.seconds)
    launch = project.start(*LAUNCH)
    wait_for_workers(launch)
    kills.strike(launch, lambda: actors_of(launch.pid), count=3)
    code, out = finish(launch)
    assert code == 0, out
    require_complete(project, undisturbed, {"lost", "preempted"})


def kill_raylets(launch):
    for pid in raylets_of(launch.pid):
        os.kill(pid, signal.SIGKILL)
    code, out = finish(launch)
    assert code in (0, 1), out  # 0: the workers were done before they noticed
    assert code == 0 or "error: the Ray cluster has lost" in out or "error: Ray Tune failed" in out


def kill_driver(launch):
    launch.kill()
    launch.communicate()


def press_ctrl_c(launch):
    code, _, out = interrupt(launch)
    assert code == 130, out


@pytest.mark.parametrize("strike", [kill_raylets, kill_driver, press_ctrl_c])
def test_what_all_workers_depend_on_ends(project, undisturbed, strike):
    """At a random moment of the trainings; the same command continues."""
    launch = project.start(*LAUNCH)
    wait_for_workers(launch)
    time.sleep(random.Random(strike.__name__).uniform(0.0, undisturbed.seconds / 3))
    strike(launch)
    project.wait_until_idle(60)
    code, out = project.run(*LAUNCH)
    assert code == 0, out
    require_complete(project, undisturbed, {"lost", "preempted"})


def test_a_node_lost(project, undisturbed):
    with RayCluster(cpus=1) as cluster:
        project.environment |= cluster.environment
        launch = project.start("file.py", "--launcher", "ray", "--address", cluster.address)
        deadline = time.monotonic() + 120
        while len(project.live_workers()) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(random.Random(14).uniform(0.0, undisturbed.seconds / 2))
        cluster.kill_node(1)
        code, out = finish(launch)
        assert code == 0, out
    require_complete(project, undisturbed, {"lost", "preempted", "node_fail"})
