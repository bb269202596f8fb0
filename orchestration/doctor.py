"""Tell whether this machine can run experiments, and what to do where it cannot.

Every check reports instead of raising: the doctor is what one runs when torch, ray or MLflow is broken or missing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from orchestration.store_location import StoreLocation

Status = Literal["ok", "warning", "error"]

OLDEST_PYTHON = (3, 11)
INSTALL_TORCH = "pip install torch torchvision"
REINSTALL_TORCH = (
    "torch and torchvision must come from the same index and build: pip install --force-reinstall torch torchvision "
    "(the default build of PyPI works on a machine without a GPU, too)"
)
LITTLE_SPACE_GB = 10.0
TOO_LITTLE_SPACE_GB = 1.0
PROBE_TIMEOUT_SECONDS = 120.0
SLURM_COMMANDS = ("sbatch", "squeue", "sacct", "scontrol", "sinfo", "scancel", "srun")

_TORCH_PROBE = """
import torch
print("torch=" + torch.__version__, flush=True)
names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
print("cuda=" + ", ".join(names), flush=True)
import torchvision
torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
print("torchvision=" + torchvision.__version__, flush=True)
"""


@dataclass(frozen=True)
class Check:
    """One finding. ``advice`` says what to do and is empty when there is nothing to do."""

    name: str
    status: Status
    detail: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the finding as plain data."""
        return asdict(self)


def run_doctor(runs_root: Path, data_root: Path | None = None, tracking_uri: str | None = None) -> list[Check]:
    """Return all findings, in the order in which they should be looked at."""
    return [
        *_guarded("python", check_python),
        *_guarded("torch", check_torch),
        *_guarded("ray", check_ray),
        *_guarded("mlflow", check_mlflow),
        *_guarded("runs folder", lambda: check_runs_folder(runs_root)),
        *_guarded("tracking store", lambda: check_tracking_store(runs_root, tracking_uri)),
        *_guarded("disk space", lambda: check_disk_space(runs_root)),
        *_guarded("data root", lambda: check_data_root(data_root)),
        *_guarded("slurm", check_slurm),
    ]


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


def check_ray() -> Check:
    """Import ray, which only the ray launcher needs."""
    install = "pip install 'ray[tune]', or use the local or slurm launcher"
    if importlib.util.find_spec("ray") is None:
        return Check("ray", "warning", "not installed", install)
    exit_code, lines, complaint = _in_fresh_process("import ray; print(ray.__version__)")
    if exit_code != 0:
        return Check("ray", "warning", f"installed but cannot be imported: {complaint}", f"reinstall it: {install}")
    return Check("ray", "ok", lines[-1])


def check_mlflow() -> Check:
    """Find MLflow without importing it (that takes seconds)."""
    if importlib.util.find_spec("mlflow") is None:
        advice = "pip install mlflow; until then runs are recorded in their folders only and can be synced later"
        return Check("mlflow", "warning", "not installed", advice)
    return Check("mlflow", "ok", importlib.metadata.version("mlflow"))


def check_runs_folder(runs_root: Path) -> Check:
    """Write a file into the runs folder."""
    folder = runs_root.absolute()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".doctor-"):
            pass
    except OSError as error:
        advice = f"make {existing} a folder you may write to, or choose another with --runs"
        return Check("runs folder", "error", f"{folder}: cannot write ({error.strerror})", advice)
    return Check("runs folder", "ok", str(folder) if existing == folder else f"{folder} (will be created)")


def check_tracking_store(runs_root: Path, tracking_uri: str | None = None) -> Check:
    """Reach the MLflow store: answer of a server, or a writable database file."""
    if importlib.util.find_spec("mlflow") is None:
        return Check("tracking store", "warning", "unknown without mlflow", "pip install mlflow")
    location = StoreLocation.resolve(runs_root, tracking_uri)
    problem = location.problem()
    if problem is not None:
        return Check("tracking store", "error", f"{location.shown}: {problem.what}", problem.advice)
    return Check("tracking store", "ok", location.shown)


def check_disk_space(runs_root: Path) -> Check:
    """Measure the space left where runs are stored."""
    folder = runs_root.absolute()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    detail = f"{free_gb:.1f} GB free at {existing}"
    advice = "remove old runs with `oneshot gc`, or choose another folder with --runs"
    if free_gb < TOO_LITTLE_SPACE_GB:
        return Check("disk space", "error", detail, advice)
    if free_gb < LITTLE_SPACE_GB:
        return Check("disk space", "warning", detail, advice)
    return Check("disk space", "ok", detail)


def check_data_root(data_root: Path | None) -> Check:
    """Look for the folder of data sets."""
    if data_root is None:
        return Check("data root", "ok", "not set: only generated data sets can be used")
    if not data_root.is_dir():
        advice = "create the folder and put data sets there, or name another with --data"
        return Check("data root", "warning", f"{data_root.absolute()}: no such folder", advice)
    names = sorted(entry.name for entry in data_root.iterdir() if entry.is_dir())
    return Check("data root", "ok", f"{data_root.absolute()}: {', '.join(names) if names else 'empty'}")


def check_slurm() -> Check:
    """List the SLURM commands on PATH; their absence is no fault."""
    found = [command for command in SLURM_COMMANDS if shutil.which(command)]
    if not found:
        return Check("slurm", "ok", "no SLURM commands on PATH: the slurm launcher is not available here")
    missing = [command for command in SLURM_COMMANDS if command not in found]
    if "sbatch" in missing or "squeue" in missing:
        advice = "load the cluster's SLURM module, or submit from a login node"
        return Check("slurm", "warning", f"found {', '.join(found)}; missing {', '.join(missing)}", advice)
    note = f"; without {', '.join(missing)}" if missing else ""
    return Check("slurm", "ok", f"found {', '.join(found)}{note}")


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
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PROBE_TIMEOUT_SECONDS, check=False
    )
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
