"""A convolution and the norm that belongs to it, under one name."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from os2d.choices import choose

NORMS: dict[str, type[nn.BatchNorm2d] | type[FrozenBatchNorm2d]] = {
    "BN": nn.BatchNorm2d,
    "FrozenBN": FrozenBatchNorm2d,
}
"""Configured name -> norm; a frozen one has stored statistics and weights that are not trained."""


class NormedConv2d(nn.Conv2d):
    """A convolution without bias, then a norm: parameters ``weight`` and ``norm.*``."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, norm: str) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False)
        self.norm: nn.Module = choose("MODEL.RESNETS.NORM", norm, NORMS)(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised convolution (B, out, H / stride, W / stride), halves rounded up."""
        normalised: Tensor = self.norm(super().forward(x))
        return normalised
