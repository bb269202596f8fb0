"""What the machine can do at most: products of large matrices and copies of large tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from os2d.bench.clock import time_call

MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}
COPIED_MB = {"cpu": 256, "cuda": 2048}
REPETITIONS = 5


@dataclass(frozen=True)
class Peaks:
    """The best of some repetitions.

    Attributes:
        matmul_gflops: format (``fp32``, ``bf16``, ``fp16``) -> billions of multiplications and additions per second.
        copy_gbytes: billions of bytes read and written per second.
    """

    matmul_gflops: dict[str, float]
    copy_gbytes: float


def measure_peaks(device: torch.device, formats: dict[str, torch.dtype], quick: bool) -> Peaks:
    """Return the peaks of a device, in fp32 and the given formats."""
    side = MATRIX_SIDE[device.type] // (2 if quick else 1)
    megabytes = COPIED_MB[device.type] // (2 if quick else 1)
    repetitions = 2 if quick else REPETITIONS
    flops = 2 * side**3
    speeds = {
        name: flops / _shortest(_product(side, dtype, device), device, repetitions) for name, dtype in formats.items()
    }
    source = torch.ones(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / _shortest(lambda: target.copy_(source), device, repetitions)
    return Peaks({name: speed / 1e9 for name, speed in speeds.items()}, copied / 1e9)


def _product(side: int, dtype: torch.dtype, device: torch.device) -> Callable[[], object]:
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    return lambda: torch.mm(left, right, out=out)


def _shortest(call: Callable[[], object], device: torch.device, repetitions: int) -> float:
    call()
    return min(time_call(call, device).seconds for _ in range(repetitions))
