"""Tell whether this machine can run experiments, and what to do where it cannot.

Every check reports instead of raising: the doctor is what one runs when torch, ray or MLflow is broken or missing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestration.doctor.check import Check, Status
from orchestration.doctor.machine import (
    check_clock,
    check_disk_space,
    check_file_system,
    check_memory,
    check_runs_folder,
    check_source,
)
from orchestration.doctor.slurm import check_slurm, probe_slurm
from orchestration.tracking.store_location import StoreLocation

OLDEST_PYTHON = (3, 11)
INSTALL_TORCH = "pip install torch torchvision"
REINSTALL_TORCH = (
    "torch and torchvision must come from the same index and build: pip install --force-reinstall torch torchvision "
    "(the default build of PyPI works on a machine without a GPU, too)"
)
PROBE_TIMEOUT_SECONDS = 120.0

_TORCH_PROBE = """
import torch
print("torch=" + torch.__version__, flush=True)
names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
print("cuda=" + ", ".join(names), flush=True)
import torchvision
torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
print("torchvision=" + torchvision.__version__, flush=True)
"""

_RAY_PROBE = """
import os, secrets, time
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(24), RAY_USAGE_STATS_ENABLED="0")
import ray
began = time.monotonic()
ray.init(num_cpus=1, num_gpus=0, include_dashboard=False, log_to_driver=False, logging_level="ERROR", address="local")
assert ray.get(ray.remote(lambda: 6 * 7).remote(), timeout=60) == 42
print(f"{ray.__version__}, a cluster of one core started and ran a task within {time.monotonic() - began:.1f} s")
ray.shutdown()
"""


def run_doctor(
    runs_root: Path,
    data_root: Path | None = None,
    tracking_uri: str | None = None,
    deep: bool = False,
    slurm_probe: bool = False,
) -> list[Check]:
    """Return all findings, in the order in which they should be looked at.

    Args:
        runs_root: the folder of the trial folders.
        data_root: the folder of the data sets; None takes ``ONESHOT_DATA`` or ``data``.
        tracking_uri: as for a sync.
        deep: start a small Ray cluster, and a SLURM job where there is a cluster.
        slurm_probe: start that job alone.
    """
    checks = [
        *_guarded("python", check_python),
        *_guarded("source", check_source),
        *_guarded("torch", check_torch),
        *_guarded("ray", lambda: check_ray(deep)),
        *_guarded("mlflow", check_mlflow),
        *_guarded("runs folder", lambda: check_runs_folder(runs_root)),
        *_guarded("tracking store", lambda: check_tracking_store(runs_root, tracking_uri)),
        *_guarded("disk space", lambda: check_disk_space(runs_root)),
        *_guarded("file system", lambda: check_file_system(runs_root, tracking_uri)),
        *_guarded("clock", lambda: check_clock(runs_root)),
        *_guarded("memory", check_memory),
        *_guarded("data sets", lambda: check_data_sets(data_root)),
        *_guarded("weights", check_weights),
        *_guarded("slurm", check_slurm),
    ]
    there_is_slurm = any(check.name == "slurm accounting" for check in checks)
    if slurm_probe or (deep and there_is_slurm):
        checks += _guarded("slurm probe", lambda: probe_slurm(runs_root.absolute(), sys.executable))
    return checks


def worst_status(checks: list[Check]) -> Status:
    """Return ``error``, ``warning`` or ``ok``: the worst among the findings."""
    found = {check.status for check in checks}
    return "error" if "error" in found else "warning" if "warning" in found else "ok"


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Compare the interpreter with the oldest one that is supported."""
    text = f"{'.'.join(map(str, version))} ({sys.executable}, {platform.platform()})"
    if version < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return Check("python", "error", text, f"install Python {wanted} or newer and make a new environment with it")
    return Check("python", "ok", text)


def check_torch() -> list[Check]:
    """Import torch, look for GPUs, and call one of torchvision's compiled operators.

    Those operators break when torch and torchvision come from different builds. One process of its own does it all:
    a broken build may end the process that loads it, and importing torch is slow.
    """
    if importlib.util.find_spec("torch") is None:
        return [Check("torch", "error", "not installed", INSTALL_TORCH)]
    exit_code, lines, complaint = _in_fresh_process(_TORCH_PROBE)
    seen = dict(line.split("=", 1) for line in lines if "=" in line)
    if "torch" not in seen:
        return [Check("torch", "error", f"installed but cannot be imported: {complaint}", REINSTALL_TORCH)]
    checks = [Check("torch", "ok", seen["torch"]), _judge_cuda(seen["cuda"])]
    if importlib.util.find_spec("torchvision") is None:
        return [*checks, Check("torchvision", "error", "not installed", INSTALL_TORCH)]
    if exit_code == 0:
        return [*checks, Check("torchvision", "ok", f"{seen['torchvision']}, compiled operators work")]
    builds = f"torch {_version_of('torch')} with torchvision {_version_of('torchvision')}"
    detail = f"compiled operators do not work ({builds}): {complaint}"
    return [*checks, Check("torchvision", "error", detail, REINSTALL_TORCH)]


def check_ray(deep: bool = False) -> Check:
    """Import ray, which only the ray launcher needs; ``deep`` starts a cluster of one core and runs a task in it."""
    install = "pip install 'ray[tune]', or use the local or slurm launcher"
    if importlib.util.find_spec("ray") is None:
        return Check("ray", "warning", "not installed", install)
    code = _RAY_PROBE if deep else "import ray; print(ray.__version__)"
    exit_code, lines, complaint = _in_fresh_process(code)
    if exit_code != 0 and deep:
        advice = "look into the logs below the temporary folder (ray/session_latest/logs), or use the local launcher"
        return Check("ray", "error", f"a cluster of one core does not work: {complaint}", advice)
    if exit_code != 0:
        return Check("ray", "warning", f"installed but cannot be imported: {complaint}", f"reinstall it: {install}")
    return Check("ray", "ok", lines[-1])


def check_mlflow() -> Check:
    """Find MLflow without importing it (that takes seconds)."""
    if importlib.util.find_spec("mlflow") is None:
        advice = "pip install mlflow; until then runs are recorded in their folders only and can be synced later"
        return Check("mlflow", "warning", "not installed", advice)
    return Check("mlflow", "ok", importlib.metadata.version("mlflow"))


def check_tracking_store(runs_root: Path, tracking_uri: str | None = None) -> Check:
    """Reach the MLflow store: answer of a server, or a writable database file."""
    if importlib.util.find_spec("mlflow") is None:
        return Check("tracking store", "warning", "unknown without mlflow", "pip install mlflow")
    location = StoreLocation.resolve(runs_root, tracking_uri)
    problem = location.problem()
    if problem is not None:
        return Check("tracking store", "error", f"{location.shown}: {problem.what}", problem.advice)
    return Check("tracking store", "ok", location.shown)


def check_data_sets(data_root: Path | None) -> Check:
    """Ask the detector library which of its data sets are on this machine."""
    chosen = [] if data_root is None else ["--data-root", str(data_root)]
    if data_root is not None and not data_root.is_dir():
        advice = "create the folder and put data sets there, or name another with --data"
        return Check("data sets", "warning", f"{data_root.absolute()}: no such folder", advice)
    return _inventory("data sets", ["data", "list", *chosen], "oneshot data fetch NAME")


def check_weights() -> Check:
    """Ask the detector library which of the published weights are on this machine."""
    return _inventory("weights", ["models", "fetch", "--list"], "oneshot models fetch NAME")


def _inventory(name: str, command: list[str], fetch: str) -> Check:
    """Run ``oneshot <command> --json``, and tell which of the things it lists are there."""
    exit_code, lines, complaint = _ended([sys.executable, "-m", "orchestration.cli", *command, "--json"])
    if exit_code != 0:
        return Check(name, "warning", f"`oneshot {' '.join(command)}` fails: {complaint}", "run it by hand")
    listed: list[dict[str, Any]] = json.loads("\n".join(lines))
    absent = [item["name"] for item in listed if item["state"] == "absent"]
    there = [item["name"] for item in listed if item["state"] not in ("absent", "to draw", "empty")]
    drawn = [item["name"] for item in listed if item["state"] == "to draw"]
    told = [f"{len(there)} there" + (f" ({', '.join(there[:6])}{', ...' if len(there) > 6 else ''})" if there else "")]
    told += [f"{len(drawn)} are drawn when needed"] if drawn else []
    told += [f"{len(absent)} to be fetched with `{fetch}`"] if absent else []
    return Check(name, "ok", "; ".join(told))


def _judge_cuda(devices: str) -> Check:
    if devices:
        return Check("cuda", "ok", devices)
    if shutil.which("nvidia-smi"):
        advice = f"this torch is a CPU build or does not fit the driver; {REINSTALL_TORCH}"
        return Check("cuda", "warning", "torch sees no GPU, though nvidia-smi is present", advice)
    return Check("cuda", "warning", "no GPU", "trials that ask for GPUs cannot run here; CPU trials can")


def _guarded(name: str, check: Callable[[], Check | list[Check]]) -> list[Check]:
    try:
        found = check()
    except Exception as error:
        detail = f"the check itself failed: {type(error).__name__}: {error}"
        return [Check(name, "error", detail, "repair or reinstall what the message names")]
    return found if isinstance(found, list) else [found]


def _in_fresh_process(code: str) -> tuple[int, list[str], str]:
    """Run Python code; return its exit code, the lines it printed and its last complaint."""
    return _ended([sys.executable, "-c", code])


def _ended(command: list[str]) -> tuple[int, list[str], str]:
    """Run a command; return its exit code, the lines it printed and its last complaint."""
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return 1, [], f"no end after {PROBE_TIMEOUT_SECONDS:.0f} s"
    complaints = ended.stderr.strip().splitlines()
    return (
        ended.returncode,
        ended.stdout.splitlines(),
        complaints[-1] if complaints else f"exit code {ended.returncode}",
    )


def _version_of(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"
