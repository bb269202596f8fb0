"""A Ray cluster and our driver inside one SLURM job: it is put back into the queue, and nothing is lost or left."""

import re
from collections import Counter

import psutil
import pytest

from orchestration.ending import Outcome
from orchestration.launch.ray import cluster_folder
from tests.integration.oneshot_project import Project, finish

pytest.importorskip("ray")
pytest.importorskip("submitit")
pytestmark = pytest.mark.cluster

IN_SLURM = ("run", "file.py", "--in-slurm", "--nodes", "2", "--memory-gb", "3")


@pytest.fixture
def project(tmp_path, slurm_cluster, monkeypatch):
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, slurm_cluster.environment[name])
    yield Project(tmp_path, "orchestration.cli")
    slurm_cluster.cancel_everything()


def job_and_folder(line):
    """Return the number of the job that a launch names, and the folder of its Ray cluster."""
    number, name = re.match(r"SLURM job (\d+) launches the trials; log .*-(\w+)\.log", line).groups()
    return number, cluster_folder.folder_of(name)


def is_gone(folder):
    """Tell whether neither a process of a Ray cluster is left nor its folder, once the next cluster here starts."""
    commands = (process.info["cmdline"] or () for process in psutil.process_iter(["cmdline"]))
    if any(str(folder) in part for command in commands for part in command):
        return False
    cluster_folder.sweep()
    return not folder.exists()


def test_a_requeued_job_goes_on_with_the_same_command(project, slurm_cluster, tmp_path):
    process = project.start(*IN_SLURM, "--cpus", "2", "--seconds", "0.1")
    number, folder = job_and_folder(process.stdout.readline())
    project.wait_until_logged(20, 300)
    slurm_cluster.command("scontrol", "requeue", number)
    code, out = finish(process, 900)
    assert code == 0, out
    assert "8 done" in out
    outcomes = Counter(attempt.outcome for trial in project.runs.folders() for attempt in trial.attempts())
    assert outcomes[Outcome.OK] == 8
    assert outcomes[Outcome.PREEMPTED] + outcomes[Outcome.LOST] >= 1
    project.require_one_worker_at_a_time()
    local = Project(tmp_path / "undisturbed")
    assert local.run("file.py", "--cpus", "2")[0] == 0
    assert project.numbers() == local.numbers()
    slurm_cluster.wait_until(lambda: not slurm_cluster.jobs() and is_gone(folder), what="a clean end")


def test_a_detached_launch_returns_and_a_cancelled_job_is_told(project, slurm_cluster):
    code, out = project.run(*IN_SLURM, "--cpus", "2", "--seconds", "0.1", "--detach")
    assert code == 0, out
    number, folder = job_and_folder(out)
    project.wait_until_logged(8, 300)
    slurm_cluster.command("scancel", number)
    slurm_cluster.wait_until(lambda: not slurm_cluster.jobs() and is_gone(folder), what="a clean end")
    project.wait_until_idle()
    assert {attempt.outcome for trial in project.runs.folders() for attempt in trial.attempts()} <= {
        *(Outcome.OK, Outcome.PREEMPTED, Outcome.LOST, None)
    }


def test_what_the_job_can_never_run_is_refused_before_it_is_submitted(project, slurm_cluster):
    project.file.write_text(
        "from orchestration.describe import Experiment, Resources\n"
        "def describe():\n"
        '    task = "tests.integration.team_task:task"\n'
        '    yield Experiment("big", task, {"steps": 2}, resources=Resources(cpus=2, nodes=3, processes=1))\n'
    )
    code, out = project.run(*IN_SLURM, "--cpus", "2")
    assert (code, "asks for 3 nodes of 2 cpus and 0 gpus, but only 2 such are there" in out) == (2, True), out
    code, out = project.run(*IN_SLURM)
    assert (code, "--in-slurm: say with --cpus how many cores" in out) == (2, True), out
    assert slurm_cluster.jobs() == []
