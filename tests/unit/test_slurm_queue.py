"""What is read from the listings of SLURM's commands; the lines are as version 22.05 printed them."""

import os
import shutil
from pathlib import Path

import pytest

from orchestration.slurm.command import SlurmError, complaint
from orchestration.slurm.queue import JobState, endings, forget_snapshot, snapshot


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A folder that is first on the PATH, for commands that print what they are told."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name) if (tmp_path / name).exists() else None)
    forget_snapshot()
    yield tmp_path
    forget_snapshot()


def say(commands: Path, name: str, text: str, code: int = 0) -> None:
    stream = "&2" if code else "&1"
    here = f"cat >{stream} <<'END'\n{text}\nEND\n" if text else ""
    (commands / name).write_text(f"#!/bin/sh\n{here}exit {code}\n")
    (commands / name).chmod(0o755)


def test_where_there_is_no_slurm_nothing_waits(commands):
    assert snapshot() == {}


def test_the_queue_is_asked_once_in_a_while(commands):
    say(commands, "squeue", "7_3|RUNNING|None|a.b|c\n8|PENDING|Resources|d")
    found = snapshot()
    assert found == {
        "slurm:7_3": JobState("RUNNING", name="a.b|c"),
        "slurm:8": JobState("PENDING", "Resources", name="d"),
    }
    say(commands, "squeue", "")
    assert snapshot() == found
    assert snapshot(max_age_seconds=0) == {}


def test_a_controller_that_does_not_answer_is_no_empty_queue(commands):
    say(commands, "squeue", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)", code=1)
    with pytest.raises(SlurmError, match="Unable to contact slurm controller"):
        snapshot()


def test_who_cancelled_a_job_is_told_apart(commands):
    say(commands, "squeue", "slurm_load_jobs error: Invalid job id specified", code=1)
    lines = [
        "72_0|CANCELLED|Dependency|a",
        "73_[0-1,4]|CANCELLED|Dependency|a",
        "74_[0-1]|CANCELLED by 0|Dependency|a",
        "75_0|REQUEUED|None|a",
        "75_0|COMPLETED|None|a",
    ]
    say(commands, "sacct", "\n".join(lines))
    ended = endings(["slurm:72_0", "slurm:73_4", "slurm:74_1", "slurm:75_0"])
    assert ended == {
        "slurm:72_0": JobState("CANCELLED", "DependencyNeverSatisfied", name="a"),
        "slurm:73_4": JobState("CANCELLED", "DependencyNeverSatisfied", name="a"),
        "slurm:74_1": JobState("CANCELLED", "Dependency", name="a"),
        "slurm:75_0": JobState("COMPLETED", restarts=1, name="a"),
    }


def test_without_accounting_the_controller_still_knows_what_ended_a_moment_ago(commands):
    say(commands, "squeue", "72_1|CANCELLED|DependencyNeverSatisfied|a")
    say(commands, "sacct", "Slurm accounting storage is disabled", code=1)
    expected = {"slurm:72_1": JobState("CANCELLED", "DependencyNeverSatisfied", name="a")}
    assert endings(["slurm:72_1"]) == expected
    (commands / "sacct").unlink()
    assert endings(["slurm:72_1"]) == expected


def test_a_complaint_is_one_line_without_names_of_programs():
    said = (
        "sbatch: error: invalid partition specified: nix\nsbatch: error: Batch job submission failed: Invalid partition"
    )
    assert complaint(said) == "invalid partition specified: nix; Invalid partition"
