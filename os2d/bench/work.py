"""How much arithmetic and memory traffic a stage needs, whatever way it is done.

Convolutions and products are counted as the plain method does them. A method that needs fewer operations (the Fourier
transform, for one) may therefore reach more than the machine's peak.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from os2d.modeling.backbone import Backbone
from os2d.modeling.transform_net import TransformNet
from os2d.structures.sizes import Size

Network = TypeVar("Network", bound=nn.Module)

BYTES_PER_VALUE = 4


@dataclass(frozen=True)
class Work:
    """Multiplications and additions, and bytes that have to be read or written; zero: not stated."""

    flops: int = 0
    bytes: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.bytes + other.bytes)

    def __mul__(self, times: int) -> Work:
        return Work(self.flops * times, self.bytes * times)


NOT_STATED = Work()


def features_work(backbone: Backbone, height: int, width: int) -> Work:
    """Return the work of the features of one image."""
    shadow = _shadow(backbone)
    image = torch.empty(1, 3, height, width, device="meta")
    return Work(flops=_counted(lambda: nn.Sequential.forward(shadow, image)))  # type: ignore[no-untyped-call]


def correlation_work(channels: int, cells: int, fm_size: Size) -> Work:
    """Return the work of correlating one class with one image; ``cells`` of the template."""
    return Work(flops=2 * channels * cells * fm_size.w * fm_size.h)


def transform_work(transform_net: TransformNet, fm_size: Size) -> Work:
    """Return the work of the TransformNet for one class and one image."""
    shadow = _shadow(transform_net)
    channels = next(m for m in shadow.modules() if isinstance(m, nn.Conv2d)).in_channels
    volume = torch.empty(1, channels, fm_size.h, fm_size.w, device="meta")
    return Work(flops=_counted(lambda: shadow.linear(shadow.conv(volume))))


def resampling_work(counted_cells: int, fm_size: Size) -> Work:
    """Return the traffic of one class and one image: the counted cells of the volume read, the scores written."""
    return Work(bytes=BYTES_PER_VALUE * fm_size.w * fm_size.h * (counted_cells + 1))


def _shadow(module: Network) -> Network:
    """Return a copy without values, which computes nothing but shapes."""
    return deepcopy(module).to("meta").eval()


def _counted(call: Callable[[], object]) -> int:
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        call()
    return int(counter.get_total_flops())
