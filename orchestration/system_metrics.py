"""How busy the machine of a worker is: processors, memory, disk, network and graphics cards.

Names and units are those of MLflow's own monitor, so that its pages show them under *System metrics*. The worker
appends a sample to ``system.jsonl`` every :data:`SAMPLE_SECONDS`; the tracking store gets them with everything else.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

logger = logging.getLogger(__name__)

PREFIX = "system/"
SAMPLE_SECONDS = 10.0
CARDS_TIMEOUT_SECONDS = 5.0

_MEGABYTE = 1e6
_MEBIBYTE = 2**20
_CARD_FIELDS = ("utilization.gpu", "memory.used", "memory.total", "power.draw", "enforced.power.limit")


def sample(disk: Path = Path(os.sep)) -> dict[str, float]:
    """Return the state of the machine now; utilisation and traffic are since the call before, or since the first one.

    The first call of a process takes its bearings and has no utilisation of the processors to tell.

    Args:
        disk: any path on the file system that is measured.
    """
    is_first = not _network_at_first.cache_info().currsize
    values = _network() | _memory() | _disk(disk) | _cards()
    busy = _processors()
    return values if is_first else {**busy, **values}


def _processors() -> dict[str, float]:
    import psutil

    return {
        f"{PREFIX}cpu_utilization_percentage": psutil.cpu_percent(),
        f"{PREFIX}worker_cpu_utilization_percentage": _this_process().cpu_percent(),
    }


def _memory() -> dict[str, float]:
    import psutil

    memory = psutil.virtual_memory()
    return {
        f"{PREFIX}system_memory_usage_megabytes": memory.used / _MEGABYTE,
        f"{PREFIX}system_memory_usage_percentage": 100 * memory.used / memory.total,
        f"{PREFIX}worker_memory_usage_megabytes": _this_process().memory_info().rss / _MEGABYTE,
    }


def _disk(path: Path) -> dict[str, float]:
    usage = shutil.disk_usage(path)
    return {
        f"{PREFIX}disk_usage_percentage": 100 * usage.used / usage.total,
        f"{PREFIX}disk_usage_megabytes": usage.used / _MEGABYTE,
        f"{PREFIX}disk_available_megabytes": usage.free / _MEGABYTE,
    }


def _network() -> dict[str, float]:
    received, sent = _network_at_first()
    received_now, sent_now = _traffic()
    return {
        f"{PREFIX}network_receive_megabytes": (received_now - received) / _MEGABYTE,
        f"{PREFIX}network_transmit_megabytes": (sent_now - sent) / _MEGABYTE,
    }


@lru_cache(maxsize=1)
def _network_at_first() -> tuple[int, int]:
    return _traffic()


def _traffic() -> tuple[int, int]:
    import psutil

    counted = psutil.net_io_counters()
    return (counted.bytes_recv, counted.bytes_sent) if counted else (0, 0)


def _cards() -> dict[str, float]:
    """Return use, memory and power of the cards this process may use; nothing where the driver does not tell."""
    command = _card_query()
    if command is None:
        return {}
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=CARDS_TIMEOUT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        _tell_once(f"{command[0]} does not answer ({error}); the use of graphics cards is not recorded")
        return {}
    values: dict[str, float] = {}
    for number, line in enumerate(told.stdout.splitlines()):
        fields = [_number(text) for text in line.split(",")]
        if len(fields) == len(_CARD_FIELDS):
            values |= _card(number, fields)
    return values


def _card(number: int, fields: list[float | None]) -> dict[str, float]:
    use, used, total, power, most_power = fields
    found = {"utilization_percentage": use, "power_usage_watts": power}
    if used is not None:
        found["memory_usage_megabytes"] = used * _MEBIBYTE / _MEGABYTE
    if used is not None and total:
        found["memory_usage_percentage"] = 100 * used / total
    if power is not None and most_power:
        found["power_usage_percentage"] = 100 * power / most_power
    return {f"{PREFIX}gpu_{number}_{name}": value for name, value in found.items() if value is not None}


def _number(text: str) -> float | None:
    """Return the number, or None for what a card cannot tell, such as the power of part of one."""
    try:
        return float(text)
    except ValueError:
        return None


@lru_cache(maxsize=1)
def _card_query() -> list[str] | None:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    program = shutil.which("nvidia-smi")
    if program is None or visible == "":
        return None
    query = [program, f"--query-gpu={','.join(_CARD_FIELDS)}", "--format=csv,noheader,nounits"]
    return query if visible is None else [*query, f"--id={visible}"]


@lru_cache(maxsize=1)
def _tell_once(message: str) -> None:
    logger.warning(message)


@lru_cache(maxsize=1)
def _this_process() -> psutil.Process:
    import psutil

    return psutil.Process()
