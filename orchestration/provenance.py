"""What ran, where and with which code: the record beside the numbers."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from orchestration.claim import Owner
from orchestration.durable import to_json, write_whole

PACKAGES = ("torch", "torchvision", "numpy", "ray", "mlflow", "submitit", "yacs")
MAX_DIFF_BYTES = 20_000_000
SHOWN_VARIABLES = (
    *("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS"),
    *("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT", "SLURM_CLUSTER_NAME"),
)


def write_provenance(folder: Path, code: Path) -> None:
    """Write ``provenance.json``, and ``diff.patch`` when the code differs from its commit.

    Args:
        folder: of the attempt.
        code: a folder within the repository of the code that runs.
    """
    git, diff = _git_state(code)
    if diff:
        write_whole(folder / "diff.patch", diff[:MAX_DIFF_BYTES], durable=False)
        git["diff_truncated"] = len(diff) > MAX_DIFF_BYTES
    record = {
        "command": [sys.executable, *sys.orig_argv[1:]],
        "folder": str(Path.cwd()),
        "host": socket.gethostname(),
        "owner": vars(Owner.this_process()),
        "launcher": launcher_of(os.environ),
        "user": os.environ.get("USER", ""),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": _versions(),
        "environment": {name: os.environ[name] for name in SHOWN_VARIABLES if name in os.environ},
        "git": git,
    }
    write_whole(folder / "provenance.json", to_json(record, indent=1), durable=False)


def launcher_of(environment: Mapping[str, str]) -> str:
    """Return which back end started a process: what each of them leaves in the environment tells."""
    if "RAY_RAYLET_PID" in environment:
        return "ray"
    return "slurm" if "SLURM_JOB_ID" in environment else "local"


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # not installed: then it had no part in the result
    return found


def _git_state(code: Path) -> tuple[dict[str, Any], bytes]:
    """Return commit and changed files, and the difference; empty outside a repository or without git."""
    commit = _git(code, "rev-parse", "HEAD")
    if commit is None:
        return {}, b""
    changed = (_git(code, "status", "--porcelain", "--untracked-files=normal") or b"").decode(errors="replace")
    diff = _git(code, "diff", "--binary", "HEAD") if changed else b""
    return {"commit": commit.decode().strip(), "changed": changed.splitlines(), "root": _root(code)}, diff or b""


def _root(code: Path) -> str:
    return (_git(code, "rev-parse", "--show-toplevel") or b"").decode(errors="replace").strip()


def _git(code: Path, *arguments: str) -> bytes | None:
    """Return what git prints, or None when it refuses: no repository, no commit, no git."""
    try:
        ended = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=code,
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return ended.stdout if ended.returncode == 0 else None
