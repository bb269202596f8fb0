"""The convolutions that the heads of FCOS and RetinaNet have before their last one, shared by all levels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import nn

from os2d.choices import choose

NORMS: Mapping[str, Callable[[int], nn.Module]] = {"GN": partial(nn.GroupNorm, 32), "BN": nn.BatchNorm2d}


def build_tower(in_channels: int, channels: int, depth: int, norm: str | None) -> nn.Sequential:
    """Return ``depth`` times a 3 x 3 convolution without bias, the norm if there is one, and ReLU."""
    layers: list[nn.Module] = []
    for number in range(depth):
        layers.append(nn.Conv2d(in_channels if number == 0 else channels, channels, 3, padding=1, bias=False))
        if norm is not None:
            layers.append(choose("MODEL.OneNet.CONV_NORM", norm, NORMS)(channels))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
