"""What a run was done on."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """Facts that explain a time."""

    device: str
    cores: int
    threads: int
    bf16: str
    torch: str
    cuda: str | None
    python: str
    commit: str
    load: float | None


def describe_machine(device: torch.device) -> Machine:
    """Return the facts about this machine and this checkout."""
    return Machine(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name(),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        bf16=_bf16(device),
        torch=torch.__version__,
        cuda=torch.version.cuda,
        python=platform.python_version(),
        commit=_commit(),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def _cpu_info(key: str) -> str:
    if not CPU_INFO.is_file():
        return ""
    lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _cpu_name() -> str:
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _bf16(device: torch.device) -> str:
    """Tell whether products of bf16 have hardware of their own; without it they are slower than those of fp32."""
    if device.type == "cuda":
        return "in hardware" if torch.cuda.is_bf16_supported(including_emulation=False) else "emulated"
    flags = _cpu_info("flags").split()
    units = [unit for unit in ("amx_bf16", "avx512_bf16") if unit in flags]
    return f"in hardware ({', '.join(units)})" if units else "emulated: this CPU has no unit for it"


def _commit() -> str:
    """Return the commit of this checkout, marked if files were changed; empty outside of one."""
    here = Path(__file__).resolve().parent
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
