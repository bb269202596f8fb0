"""Workers that die at every operation on their files, disks that fill, clocks that jump, files that get damaged."""

import itertools
import json
import os
import random
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.oneshot_project import Project, finish
from tests.integration.recovery_project import (
    require_complete,
    require_finished_in_mlflow,
    require_one_writer_at_a_time,
    workers_of,
)
from tests.unit.small_disk import mounted_small_disk

pytestmark = pytest.mark.cluster

SABOTEUR = Path(__file__).with_name("saboteur")
LAUNCH = ("file.py", "--cpus", "2")
OPERATIONS = 44
"""More than a worker of ``COUNTS`` needs; the tests look that the last ones were not reached."""

COUNTS = """
from orchestration.describe import Experiment

def describe():
    config = {{"steps": 5, "save_every": 2}}
    yield Experiment("crashes", "tests.integration.counting_task:task", config, seeds={trials})
"""


def sabotage(project, plan):
    """Let workers be broken: signature -> one (what, number of the operation) for each worker of the trial."""
    file = project.folder / "sabotage" / "plan.json"
    file.parent.mkdir()
    file.write_text(json.dumps(plan))
    path = os.pathsep.join([str(SABOTEUR), project.environment["PYTHONPATH"]])
    project.environment |= {"PYTHONPATH": path, "ONESHOT_SABOTAGE": str(file)}


class Counts(Project):
    """As many short counts as there are places to break them at."""

    def __init__(self, folder):
        super().__init__(folder)
        self.file.write_text(COUNTS.format(trials=OPERATIONS))

    def outcomes(self, trial):
        return [str(attempt.outcome) for attempt in self.runs.folder(trial.signature).attempts()]


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    project = Counts(tmp_path_factory.mktemp("counted"))
    code, out = project.run(*LAUNCH)
    assert code == 0, out
    return project.numbers()


def test_a_worker_killed_at_each_of_its_operations_on_files(tmp_path, counted):
    """Before it, or, where it appends a line, in the middle of it."""
    project = Counts(tmp_path / "project")
    trials = project.plan().trials
    sabotage(project, {trial.signature: [("tear", number)] for number, trial in enumerate(trials, start=1)})
    code, out = project.run(*LAUNCH)
    assert code == 0, out
    assert project.numbers() == counted
    seen = Counter(tuple(project.outcomes(trial)) for trial in trials)
    assert set(seen) == {("ok",), ("lost", "ok")}
    assert seen["lost", "ok"] >= 20
    assert project.outcomes(trials[-1]) == ["ok"], "there are more operations than were tried"
    for folder in project.runs.folders():
        require_one_writer_at_a_time(folder)


def test_a_disk_that_is_full_at_each_operation_on_files(tmp_path, counted):
    project = Counts(tmp_path / "project")
    trials = project.plan().trials
    sabotage(project, {trial.signature: [("full", number)] for number, trial in enumerate(trials, start=1)})
    code, out = project.run(*LAUNCH)
    assert code == 1, out
    assert "Traceback" not in out
    assert "No space left on device; free space" in out
    assert {tuple(project.outcomes(trial)) for trial in trials} <= {(), ("failed",), ("ok",)}
    code, out = project.run(*LAUNCH)
    assert code == 0, out
    assert project.numbers() == counted
    assert {tuple(project.outcomes(trial)) for trial in trials} == {("failed", "ok"), ("ok",)}
    assert project.outcomes(trials[-1]) == ["ok"], "there are more operations than were tried"


@pytest.fixture
def project(undisturbed, tmp_path):
    return undisturbed.project(tmp_path)


def test_trainings_killed_at_operations_on_files(project, undisturbed):
    """Between the metrics and the checkpoint they belong to, within a line, before the result is linked."""
    chance = random.Random(21)
    plan = {
        signature: [(chance.choice(["kill", "tear"]), chance.randint(1, 60)) for _ in range(3)]
        for signature in undisturbed.endings
    }
    print(plan)
    sabotage(project, plan)
    code, out = project.run(*LAUNCH, "--trials", "3")
    assert code == 0, out
    require_complete(project, undisturbed, {"lost"})
    assert project.outcomes().count("lost") >= 5


def test_disk_full_while_checkpointing(project, undisturbed):
    with mounted_small_disk(project.runs.root, "5m"):
        code, out = project.run(*LAUNCH)
        assert code == 1, out
        assert "free space" in out
        assert "Traceback" not in out
        assert "ok" not in project.outcomes()
        subprocess.run(["mount", "-o", "remount,size=200m", str(project.runs.root)], check=True)
        code, out = project.run(*LAUNCH)
        assert code == 0, out
        require_complete(project, undisturbed, {"failed", "lost"})


def test_write_permission_removed_in_the_middle(project, undisturbed):
    if os.geteuid() == 0:  # permissions do not bind root, who can give that privilege away
        project.prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    launch = project.start(*LAUNCH)
    closed = project.wait_for_checkpoints(trials=2)
    for folder in closed:
        folder.chmod(0o555)
    code, out = finish(launch)
    assert code == 1, out
    assert "change the permissions" in out
    assert set(project.outcomes()) == {"failed"}
    for folder in closed:
        folder.chmod(0o755)
    code, out = project.run(*LAUNCH)
    assert code == 0, out
    require_complete(project, undisturbed, {"failed"})


def test_damaged_checkpoints_torn_lines_and_no_heartbeat(project, undisturbed):
    launch = project.start(*LAUNCH, "--trials", "3")
    project.wait_until_logged(18)
    for pid in [*workers_of(launch.pid), launch.pid]:
        os.kill(pid, signal.SIGKILL)
    launch.communicate()
    damages = itertools.cycle([_truncate, _fill_with_zeros, _flip_a_bit])
    for folder in project.runs.folders():
        for newest in sorted(folder.checkpoints.glob("step_*.pth"))[-1:]:
            next(damages)(newest)
        for lines in folder.path.glob("*.jsonl"):
            with lines.open("a") as file:
                file.write('{"step": 7, "time_ms": 17')
        (folder.path / "heartbeat").unlink(missing_ok=True)  # a training that waits for a core has none
    code, out = project.run(*LAUNCH, "--trials", "3")
    assert code == 0, out
    damaged = [event for folder in project.runs.folders() for event in folder.events() if "damaged" in event.kind]
    assert damaged
    require_complete(project, undisturbed, {"lost"})


def test_a_clock_that_jumps(project, undisturbed, tmp_path):
    """An hour back while workers run; then one is killed, and the next goes on in what is the past of the first."""
    clock = tmp_path / "clock"
    path = os.pathsep.join([str(SABOTEUR), project.environment["PYTHONPATH"]])
    project.environment |= {"PYTHONPATH": path, "ONESHOT_CLOCK": str(clock)}
    launch = project.start(*LAUNCH)
    for hours in (-1, -3, 2, 0):
        project.wait_until_logged(3)
        clock.write_text(str(hours * 3600.0))
        for folder in project.runs.folders():
            (folder.path / "heartbeat").unlink(missing_ok=True)
        for pid in workers_of(launch.pid)[:1] if hours < 0 else ():
            os.kill(pid, signal.SIGKILL)
    code, out = finish(launch)
    assert code == 0, out
    for folder in project.runs.folders():
        attempts = folder.attempts()
        assert all(one.ended_ms <= other.started_ms for one, other in itertools.pairwise(attempts))
        times = [point.time_ms for point in folder.metrics()]
        assert times == sorted(times)
    require_complete(project, undisturbed, {"lost"})


def _truncate(path):
    os.truncate(path, path.stat().st_size * 2 // 3)


def _fill_with_zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


def _flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_launch_whose_mlflow_server_is_away(tmp_path, monkeypatch):
    """Nothing waits for it and nothing fails; a later sync writes everything."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project = Project(tmp_path / "project", program="orchestration.cli")
    project.environment |= {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}  # the port of "discard": nobody listens
    code, out = project.run("run", "file.py", "--cpus", "2")
    assert code == 0, out
    assert "does not answer" in out
    assert "Traceback" not in out
    del project.environment["MLFLOW_TRACKING_URI"]
    require_finished_in_mlflow(project)
