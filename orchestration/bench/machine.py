"""What a run was done on."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from orchestration.bench.case import SOURCE

CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """Facts that explain a time; the load is that of the last minute, before anything was measured."""

    cpu: str
    cores: int
    load: float
    python: str
    commit: str


def describe_machine() -> Machine:
    """Return the facts about this machine and this checkout."""
    load = os.getloadavg()[0]
    return Machine(_cpu(), os.cpu_count() or 1, load, platform.python_version(), _commit())


def _cpu() -> str:
    lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines() if CPU_INFO.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _commit() -> str:
    """Return the commit of this checkout, marked if files were changed; empty outside of one."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
