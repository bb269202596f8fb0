"""Several launches that want the same real trainings, on one machine, on several, and with owners that come back."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from tests.integration.oneshot_project import finish
from tests.integration.recovery_project import require_complete, workers_of

pytestmark = pytest.mark.cluster

LAUNCH = ("file.py", "--cpus", "2")
RAY = (*LAUNCH, "--launcher", "ray")
STALENESS_SECONDS = 240
"""Long enough for a silent worker to be taken for dead, and another one to start, on a busy machine."""


@pytest.fixture
def project(undisturbed, tmp_path):
    return undisturbed.project(tmp_path)


def on_host(name):
    """Return a command that runs another one on what looks like another machine with the same files."""
    probe = ["unshare", "--uts", "true"]
    if os.geteuid() != 0 or shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode:
        pytest.skip("pretending several hosts needs root and the right to unshare")
    return ["unshare", "--uts", "sh", "-c", f'hostname {name} && exec "$@"', "sh"]


def test_two_launches_at_once_and_the_same_again(project, undisturbed):
    launches = [project.start(*LAUNCH), project.start(*LAUNCH)]
    for launch in launches:
        code, out = finish(launch)
        assert code == 0, out
    require_complete(project, undisturbed, set())
    left = {path: path.stat().st_mtime_ns for path in project.runs.root.glob("*/result.json")}
    code, out = project.run(*LAUNCH)
    assert code == 0, out
    assert {path: path.stat().st_mtime_ns for path in project.runs.root.glob("*/result.json")} == left
    assert project.outcomes() == ["ok", "ok"]


def test_ray_and_a_local_launch_share_trials_while_workers_die(project, undisturbed):
    pytest.importorskip("ray")
    chance = random.Random(31)
    launches = [project.start(*RAY, "--trials", "3"), project.start(*LAUNCH, "--trials", "2")]
    project.wait_until_logged(1)
    for _ in range(3):
        time.sleep(chance.uniform(0.0, undisturbed.seconds / 3))
        for pid in sorted(project.live_workers())[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for launch in launches:
        code, out = finish(launch)
        assert code == 0, out
    require_complete(project, undisturbed, {"lost"})


def test_hosts_share_trials_and_take_over_from_one_that_froze_and_comes_back(project, undisturbed):
    """The frozen workers are taken for dead; when they thaw, they leave the trials to those who have them now."""
    project.prefix = on_host("first")
    first = project.start(*LAUNCH)
    project.wait_until_logged(2)
    frozen = [*workers_of(first.pid), first.pid]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    project.prefix = on_host("second")
    second = project.start(*LAUNCH)
    try:
        deadline = time.monotonic() + STALENESS_SECONDS
        while not _all_taken_over(project) and second.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        project.wait_until_logged(1)  # the new workers write while the old ones thaw
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    for launch in (first, second):
        code, out = finish(launch)
        assert code == 0, out
    assert sorted(project.outcomes()) == ["lost", "lost", "ok", "ok"]
    owners = [[attempt.host for attempt in folder.attempts()] for folder in project.runs.folders()]
    assert owners == [["first", "second"]] * 2
    require_complete(project, undisturbed, {"lost"})


def _all_taken_over(project):
    return all(len(folder.attempts()) == 2 for folder in project.runs.folders())
