"""What the doctor says of the machine: memory, disk, file system, clock, and where the code lies."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import orchestration
from orchestration.doctor.check import Check
from orchestration.tracking.store_location import StoreLocation

LITTLE_MEMORY_GB = 2.0
LITTLE_SPACE_GB = 10.0
TOO_LITTLE_SPACE_GB = 1.0
LARGEST_SKEW_SECONDS = 5.0

NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "fuse.sshfs", "glusterfs")
_CGROUP_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")


def check_memory() -> Check:
    """Measure the memory that is free, and how much of it this session may use."""
    import psutil

    memory = psutil.virtual_memory()
    detail = f"{memory.available / 1e9:.1f} GB of {memory.total / 1e9:.1f} GB free"
    limit = memory_limit()
    if limit is not None and limit < memory.total:
        detail += f"; this session may use {limit / 1e9:.1f} GB"
    if min(memory.available, limit or memory.available) < LITTLE_MEMORY_GB * 1e9:
        return Check("memory", "warning", detail, "end other programs, or run the trials on another machine")
    return Check("memory", "ok", detail)


def memory_limit(cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the bytes a container or a job may use, or None where nothing limits it."""
    for name in _CGROUP_LIMITS:
        file = cgroups / name
        text = file.read_text().strip() if file.exists() else ""
        if text.isdigit() and int(text) < 2**60:  # older kernels write a huge number for "no limit"
            return int(text)
    return None


def check_disk_space(runs_root: Path) -> Check:
    """Measure the space left where runs are stored."""
    existing = nearest_existing(runs_root)
    free_gb = shutil.disk_usage(existing).free / 1e9
    detail = f"{free_gb:.1f} GB free at {existing}"
    advice = "remove old runs with `oneshot gc`, or choose another folder with --runs"
    if free_gb < TOO_LITTLE_SPACE_GB:
        return Check("disk space", "error", detail, advice)
    if free_gb < LITTLE_SPACE_GB:
        return Check("disk space", "warning", detail, advice)
    return Check("disk space", "ok", detail)


def check_runs_folder(runs_root: Path) -> Check:
    """Write a file into the runs folder."""
    folder, existing = runs_root.absolute(), nearest_existing(runs_root)
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".doctor-"):
            pass
    except OSError as error:
        advice = f"make {existing} a folder you may write to, or choose another with --runs"
        return Check("runs folder", "error", f"{folder}: cannot write ({error.strerror})", advice)
    return Check("runs folder", "ok", str(folder) if existing == folder else f"{folder} (will be created)")


def check_file_system(runs_root: Path, tracking_uri: str | None = None, mounts: Path | None = None) -> Check:
    """Tell the type of the file system; a SQLite database on one of the network is easily damaged."""
    kind = file_system_of(nearest_existing(runs_root), mounts)
    database = StoreLocation.resolve(runs_root, tracking_uri).database
    if database is not None and file_system_of(nearest_existing(database), mounts) in NETWORK_FILE_SYSTEMS:
        detail = f"{kind or 'unknown'}; the MLflow database {database} is on a network file system"
        advice = (
            "its locks may fail there when several machines write: run a server (`oneshot dashboard`) and name it in "
            "MLFLOW_TRACKING_URI, or put the database on a local disk with --tracking-uri sqlite:////local/mlflow.db"
        )
        return Check("file system", "warning", detail, advice)
    return Check("file system", "ok", kind or "unknown")


def check_clock(runs_root: Path) -> Check:
    """Compare this machine's clock with that of the file system, which all machines of a cluster share."""
    existing = nearest_existing(runs_root)
    before = time.time()
    with tempfile.NamedTemporaryFile(dir=existing, prefix=".doctor-") as file:
        written = Path(file.name).stat().st_mtime
    skew = written - before
    if abs(skew) > LARGEST_SKEW_SECONDS:
        detail = f"{abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} the file system of {existing}"
        advice = "synchronise the clocks (chrony, systemd-timesyncd): signs of life of workers elsewhere look too old"
        return Check("clock", "warning", detail, advice)
    return Check("clock", "ok", f"{time.strftime('%Y-%m-%d %H:%M:%S %Z')}, as the file system says")


def check_source() -> Check:
    """Tell where the code is; nothing is ever written there."""
    folder = Path(orchestration.__path__[0]).parent
    return Check("source", "ok", f"{folder}{'' if os.access(folder, os.W_OK) else ' (read-only: nothing is missing)'}")


def file_system_of(path: Path, mounts: Path | None = None) -> str:
    """Return the type of the file system a path is on, or an empty text where the kernel does not tell."""
    table = mounts or Path("/proc/self/mounts")
    if not table.exists():
        return ""
    found = ("", "")
    for line in table.read_text().splitlines():
        _, point, kind, *_ = line.split()
        point = point.replace("\\040", " ")
        if path.is_relative_to(point) and len(point) >= len(found[0]):  # of two at one place the later one counts
            found = (point, kind)
    return found[1]


def nearest_existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    absolute = path.absolute()
    return next(parent for parent in (absolute, *absolute.parents) if parent.exists())
