"""When a claim made within a SLURM job is overtaken: the worker was on another machine, so only signs tell."""

import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.attempt import Attempt, Held, claim_next
from orchestration.claim import Owner, current_job
from orchestration.durable import to_json
from orchestration.slurm.queue import forget_snapshot

ELEMENT = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}


@pytest.fixture
def attempts(tmp_path, monkeypatch):
    """A trial's attempts, with one by a worker on another machine in the first start of element 3 of array 7."""
    for name, value in ELEMENT.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "attempts"
    claimed = claim_next(folder)
    assert isinstance(claimed, Attempt)
    assert claimed.owner.job == "slurm:7_3"
    elsewhere = replace(claimed.owner, host="another")
    claim = {"attempt": 1, "owner": vars(elsewhere), "started_ms": claimed.started_ms}
    (folder / "1" / "claim.json").write_text(to_json(claim))
    return folder


def squeue(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str, code: int = 0) -> None:
    """Put an ``squeue`` on the PATH that prints these lines."""
    program = folder / "squeue"
    program.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines) + f"exit {code}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    forget_snapshot()


def grow_silent(attempts: Path) -> None:
    os.utime(attempts / "1" / "claim.json", (1, 1))


def test_the_job_of_a_process_is_its_element_of_an_array():
    assert current_job({}) == ""
    assert current_job({"SLURM_JOB_ID": "9"}) == "slurm:9"
    assert current_job(ELEMENT) == "slurm:7_3"


def test_a_later_start_of_the_same_job_takes_over_at_once(attempts, monkeypatch):
    assert isinstance(claim_next(attempts), Held)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    claimed = claim_next(attempts)
    assert isinstance(claimed, Attempt)
    assert claimed.number == 2
    assert claimed.owner.restarts == 1
    assert claimed.owner.host == socket.gethostname()


def test_another_job_waits_as_long_as_slurm_runs_the_silent_one(attempts, monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "4")
    assert isinstance(claim_next(attempts), Held)
    grow_silent(attempts)
    squeue(tmp_path, monkeypatch, "7_3|RUNNING|None|name")
    assert isinstance(claim_next(attempts), Held)
    squeue(tmp_path, monkeypatch, code=1)  # the controller does not answer
    assert isinstance(claim_next(attempts), Held)
    squeue(tmp_path, monkeypatch, "7_3|PENDING|BeginTime|name", "7_4|RUNNING|None|name")
    assert isinstance(claim_next(attempts), Attempt)


def test_a_claim_from_before_jobs_were_written_down_is_read():
    fields = {"host": "h", "pid": 1, "pid_start": "b:2", "namespace": "n"}
    assert Owner.from_dict(fields) == Owner("h", 1, "b:2", "n")
