"""What the machine can do at most: large matrix products, large convolutions, and copies of large tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch

from os2d.bench.clock import time_call

MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}
CONVOLVED_IMAGES = {"cpu": 4, "cuda": 64}
CHANNELS, MAP_SIDE, KERNEL = 256, 64, 3
COPIED_MB = {"cpu": 256, "cuda": 2048}
REPETITIONS = 5
Work: TypeAlias = tuple[Callable[[], object], int]
"""A call, and how many multiplications and additions it makes."""


@dataclass(frozen=True)
class Peaks:
    """The best of some repetitions.

    Attributes:
        gflops: format (``fp32``, ``bf16``, ``fp16``) -> billions of multiplications and additions per second, of a
            matrix product or a convolution, whichever is faster: they may come from two libraries, of which one
            knows the processor better.
        copy_gbytes: billions of bytes read and written per second.
    """

    gflops: dict[str, float]
    copy_gbytes: float


def measure_peaks(device: torch.device, formats: dict[str, torch.dtype], quick: bool) -> Peaks:
    """Return the peaks of a device, in fp32 and the given formats."""
    side = MATRIX_SIDE[device.type] // (2 if quick else 1)
    images = CONVOLVED_IMAGES[device.type] // (2 if quick else 1)
    megabytes = COPIED_MB[device.type] // (2 if quick else 1)
    repetitions = 2 if quick else REPETITIONS

    def gflops(dtype: torch.dtype) -> float:
        candidates = (_product(side, dtype, device), _convolution(images, dtype, device))
        return max(flops / _shortest(call, device, repetitions) for call, flops in candidates) / 1e9

    speeds = {name: gflops(dtype) for name, dtype in formats.items()}
    source = torch.ones(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / _shortest(lambda: target.copy_(source), device, repetitions)
    return Peaks(speeds, copied / 1e9)


def _product(side: int, dtype: torch.dtype, device: torch.device) -> Work:
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    return lambda: torch.mm(left, right, out=out), 2 * side**3


def _convolution(images: int, dtype: torch.dtype, device: torch.device) -> Work:
    layout = torch.channels_last
    maps = torch.randn(images, CHANNELS, MAP_SIDE, MAP_SIDE, device=device).to(dtype).contiguous(memory_format=layout)
    weight = torch.randn(CHANNELS, CHANNELS, KERNEL, KERNEL, device=device).to(dtype).contiguous(memory_format=layout)
    flops = 2 * images * MAP_SIDE**2 * CHANNELS**2 * KERNEL**2
    return lambda: torch.conv2d(maps, weight, padding=KERNEL // 2), flops


def _shortest(call: Callable[[], object], device: torch.device, repetitions: int) -> float:
    call()
    return min(time_call(call, device).seconds for _ in range(repetitions))
