"""Processes other than this one that own a trial."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from orchestration.attempt import Attempt, now_ms
from orchestration.claim import Owner, process_start
from orchestration.durable import to_json
from orchestration.journal import TrialFolder


def dead_owner() -> Owner:
    """Return a process that existed and is gone."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = replace(Owner.this_process(), pid=process.pid, pid_start=process_start(process.pid))
    process.communicate()
    return owner


def claim_as(folder: TrialFolder, number: int, owner: Owner) -> Attempt:
    """Write the claim of another process down."""
    attempt = folder.path / "attempts" / str(number)
    attempt.mkdir(parents=True)
    claim = {"attempt": number, "owner": vars(owner), "started_ms": now_ms()}
    (attempt / "claim.json").write_text(to_json(claim))
    return Attempt.read(attempt)
