"""The time and the memory that a call takes, on the CPU or on a GPU."""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil
import torch

SAMPLING_SECONDS = 0.002


@dataclass(frozen=True)
class Sample:
    """One call.

    Attributes:
        seconds: between its start and the end of the last kernel it launched.
        cpu_seconds: of all threads of this process; the measure that other people's jobs disturb least.
    """

    seconds: float
    cpu_seconds: float


def time_call(call: Callable[[], object], device: torch.device) -> Sample:
    """Return how long a call takes."""
    if device.type == "cuda":
        return _time_on_gpu(call, device)
    cpu, start = time.process_time(), time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    return Sample(seconds, time.process_time() - cpu)


def least_cpu_seconds(
    programs: Mapping[str, Callable[[], object]], repetitions: int, device: torch.device
) -> dict[str, float]:
    """Return name -> the least processor time of a program's calls; programs take turns, which is fair to all."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(repetitions):
        for name, program in programs.items():
            seconds[name].append(time_call(program, device).cpu_seconds)
    return {name: min(of_program) for name, of_program in seconds.items()}


def _time_on_gpu(call: Callable[[], object], device: torch.device) -> Sample:
    """Return the time between two events around the call; a call that waits for the CPU takes that time too."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize(device)
    cpu = time.process_time()
    begin.record()
    call()
    end.record()
    end.synchronize()
    return Sample(begin.elapsed_time(end) / 1000, time.process_time() - cpu)


def memory_peak_mb(call: Callable[[], object], device: torch.device) -> float:
    """Return by how much the memory of this process (on a GPU: of the device) grows at most during a call."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        torch.cuda.synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    _give_back_free_memory()
    with _ResidentMemory() as memory:
        call()
    return memory.growth_mb


def _give_back_free_memory() -> None:
    """Let glibc return what it keeps for later: a call that reuses it would seem to need nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class _ResidentMemory:
    """Watches the resident memory of the process in a thread."""

    def __enter__(self) -> _ResidentMemory:
        self._process = psutil.Process()
        self._before = self._peak = self._process.memory_info().rss
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self._peak = max(self._peak, self._process.memory_info().rss)

    def _watch(self) -> None:
        while not self._done.wait(SAMPLING_SECONDS):
            self._peak = max(self._peak, self._process.memory_info().rss)

    @property
    def growth_mb(self) -> float:
        return float(self._peak - self._before) / 2**20
