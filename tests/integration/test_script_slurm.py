"""Experiment files as scripts on a real SLURM cluster: submitted, or written and submitted by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]

FILE = """
from orchestration.describe import Experiment, Need, Resources
from orchestration.script import main

task, small = "tests.integration.counting_task:task", Resources(memory_gb=0.1)
counts = Experiment("counts", task, {"steps": 6}, seeds=2, resources=small)
reading = Experiment("reading", task, {"steps": 2}, seeds=2, needs={"m": Need(counts)}, resources=small)

if __name__ == "__main__":
    main(__file__)
"""


@pytest.fixture
def folder(tmp_path):
    """A folder whose name a shell would split."""
    folder = tmp_path / "of my own"
    folder.mkdir()
    (folder / "file.py").write_text(FILE)
    return folder


def run(cluster, folder, *command):
    environment = {**cluster.environment, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    told = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stderr
    return told.stdout


def states(cluster, folder):
    listing = run(cluster, folder, sys.executable, "file.py", "--list")
    return [line.split()[-1] for line in listing.splitlines()]


def attempt_of(folder, job):
    (claim,) = (folder / "runs/by-name" / job).glob("attempts/1/claim.json")
    return json.loads(claim.read_text())["owner"]


def test_written_scripts_are_submitted_by_hand_and_wait_for_what_they_need(slurm_cluster, folder):
    flags = ["--slurm", "--num-cpus", "2", "--exclude-nodes", "n1", "n2", "--timeout", "1", "-p", "debug"]
    told = run(slurm_cluster, folder, sys.executable, "file.py", "--no-launch", *flags, "--job-names", "reading")
    assert slurm_cluster.jobs() == []
    submit = folder / "runs/.launch/reading/submit.sh"
    assert told.splitlines()[-1] == f"launch them with: bash '{submit}'"
    jobs = [line.split()[0] for line in run(slurm_cluster, folder, "bash", str(submit)).splitlines()]
    assert len(jobs) == 4
    slurm_cluster.wait_until(lambda: not slurm_cluster.jobs(), what="an empty queue")
    assert states(slurm_cluster, folder) == ["done"] * 4
    shown = slurm_cluster.command("scontrol", "show", "job", jobs[0])
    assert "TimeLimit=01:00:00" in shown and "Partition=debug" in shown and "NodeList=n3" in shown
    assert attempt_of(folder, "reading/default-seed1")["job"] == f"slurm:{jobs[3]}"
    assert (folder / "runs/.launch/reading/default-seed1/out.txt").read_text() == "counted to 2\n"


def test_slurm_submits_the_chosen_jobs_and_returns(slurm_cluster, folder):
    run(slurm_cluster, folder, sys.executable, "file.py", "--slurm", "--job-names", "reading/default-seed1")
    slurm_cluster.wait_until(lambda: not slurm_cluster.jobs(), what="an empty queue")
    assert states(slurm_cluster, folder) == ["planned", "done", "planned", "done"]
    assert attempt_of(folder, "counts/default-seed1")["job"].startswith("slurm:")
