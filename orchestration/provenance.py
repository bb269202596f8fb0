"""What ran, where and with which code: the record beside the numbers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
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
        "platform": "-".join(os.uname()[index] for index in (0, 2, 4)),
        "python": sys.version.partition(" ")[0],
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
    """Return package -> version of those installed, as the names of their folders tell.

    To let ``importlib.metadata`` read the descriptions would take longer than everything else a worker does.
    """
    found: dict[str, str] = {}
    for folder in dict.fromkeys(sys.path):
        try:
            entries = os.listdir(folder or ".")  # noqa: PTH208 - hundreds of names, of which a few are looked at
        except OSError:  # an archive, or not there: nothing of ours is imported from it
            continue
        for entry in entries:
            name, suffix = os.path.splitext(entry)  # noqa: PTH122
            package, _, version = name.partition("-")
            if suffix in (".dist-info", ".egg-info") and package.lower() in PACKAGES:
                found.setdefault(package.lower(), version.partition("-py")[0])
    return {package: found[package] for package in PACKAGES if package in found}


def _git_state(code: Path) -> tuple[dict[str, Any], bytes]:
    """Return commit and changed files, and the difference; empty outside a repository or without git."""
    root = next((folder for folder in (code, *code.parents) if (folder / ".git").exists()), None)
    told = _git(root, "status", "--porcelain=v2", "--branch", "--untracked-files=normal") if root else None
    if root is None or told is None:
        return {}, b""
    lines = told.decode(errors="replace").splitlines()
    commit = next((line.rpartition(" ")[2] for line in lines if line.startswith("# branch.oid ")), "(initial)")
    if commit == "(initial)":
        return {}, b""
    changed = [_changed(line) for line in lines if not line.startswith("#")]
    diff = _git(root, "diff", "--binary", "HEAD") if changed else b""
    return {"commit": commit, "changed": changed, "root": str(root)}, diff or b""


def _changed(line: str) -> str:
    """Return what happened to a file, in two letters, and its path; of one that was renamed ``new <- old``."""
    kind, _, rest = line.partition(" ")
    if kind in "?!":
        return f"{kind}{kind} {rest}"
    state, *_, paths = rest.split(" ", {"1": 7, "2": 8, "u": 9}[kind])
    return f"{state.replace('.', ' ')} {' <- '.join(paths.split(chr(9)))}"


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
