"""What cannot work under SLURM is one message before anything is created."""

import os
import shutil

import pytest

from tests.integration.oneshot_project import Project
from tests.integration.slurm_cluster import cluster
from tests.integration.slurm_project import FILE, SlurmProject

SLURM = ("file.py", "--launcher", "slurm")


@pytest.fixture
def project(tmp_path, slurm_cluster):
    return SlurmProject(tmp_path / "p", slurm_cluster)


def require_one_message(out: str) -> str:
    (line,) = [line for line in out.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in out
    return line


def test_without_sbatch_the_message_says_what_to_do(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").symlink_to(shutil.which("git") or "/usr/bin/git")
    project = Project(tmp_path / "p")
    project.environment["PATH"] = str(folder)
    project.file.write_text(FILE)
    code, out = project.run(*SLURM)
    assert code == 1
    assert "sbatch, squeue" in require_one_message(out)
    assert "use --launcher local or ray" in out
    assert not project.runs.folders()


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--partition", "nix"], "there is no partition 'nix'; this cluster has debug, high, low, spare"),
        (["--gpus", "9"], "asks for 9 gpus, but the largest node of partition debug, the default, has 2"),
        (["--memory", "900"], "asks for 900 GB of memory, but the largest node of partition debug"),
        (["--cpus", "64"], "asks for 64 cpus, but the largest node of partition debug, the default, has 2"),
        (["--account", "nix"], "SLURM refuses its job: sbatch: Invalid account"),
        (["--hours", "0.01"], "has a time limit of 0.6 minutes"),
    ],
)
def test_what_the_cluster_cannot_give_is_refused_at_once(project, options, told):
    code, out = project.run(*SLURM, *options)
    assert code == 2, out
    line = require_one_message(out)
    assert "experiment 'counts', trial 'default-seed0': " in line
    assert told in line
    assert not project.runs.folders()
    assert not project.cluster.jobs()


@pytest.mark.cluster
def test_a_share_of_a_card_is_refused(project):
    project.file.write_text(FILE.replace("gpus: int = 0", "gpus: float = 0.5"))
    code, out = project.run(*SLURM)
    assert code == 2, out
    assert "SLURM gives out whole cards; ask for gpus=1" in require_one_message(out)


@pytest.mark.cluster
def test_a_controller_that_does_not_answer_is_one_message(tmp_path):
    with cluster(nodes=1, gpus=0, accounting=False) as small:
        os.kill(int((small.folder / "run" / "ctld.pid").read_text()), 9)
        project = SlurmProject(tmp_path / "p", small)
        code, out = project.run(*SLURM)
        assert code == 1, out
        assert "contact slurm controller" in require_one_message(out)
        assert not project.runs.folders()
