"""The commands on jobs of a SLURM cluster: submit and leave, cancel what runs and what waits, run it again."""

from collections import Counter

import pytest

from tests.integration.oneshot_project import records
from tests.integration.slurm_project import SlurmProject

pytestmark = pytest.mark.cluster

FILE = """
from orchestration.describe import Experiment, Resources

def describe():
    task = "tests.integration.counting_task:task"
    config = {"steps": 4000, "save_every": 4, "runtime.seconds_per_step": 0.3}
    yield Experiment("counts", task, config, seeds=3, resources=Resources(cpus=1, memory_gb=0.2))
"""


@pytest.fixture
def project(tmp_path, slurm_cluster):
    project = SlurmProject(tmp_path, slurm_cluster, FILE)
    project.program = "orchestration.cli"
    yield project
    slurm_cluster.cancel_everything()


def test_submitted_jobs_are_cancelled_and_run_again(project, slurm_cluster):
    code, out = project.run("run", "file.py", "--launcher", "slurm", "--slots", "1", "--detach")
    assert code == 0, out
    assert "3 jobs; the jobs go on without this command: `oneshot status` shows them" in out
    project.wait_until_logged(3, seconds=180)
    assert Counter(project.states()) == {"running": 1, "queued": 2}
    code, out = project.run("cancel", "counts/*", "--yes", "--json", "--wait", "120")
    assert code == 0, out
    before = {record["before"]: record["message"] for record in records(out)}
    assert before["queued"] == "cancelled before it started"
    assert before["running"].startswith("cancelled at step ")
    assert slurm_cluster.jobs() == []
    assert project.outcomes() == ["cancelled"]
    assert project.states() == ["cancelled"] * 3
    code, out = project.run("retry", "counts/*", "--yes", "--launcher", "slurm", "--detach")
    assert code == 0, out
    slurm_cluster.wait_until(lambda: project.outcomes().count("None") == 3, what="three running trials", seconds=180)
    code, out = project.run("cancel", "--all", "--yes", "--force", "--wait", "120")
    assert code == 0, out
    assert slurm_cluster.jobs() == []
    assert project.states() == ["cancelled"] * 3
