"""From a feature map to one vector: generalised mean and its relatives (Radenovic et al., 2018; Tolias et al., 2016).

Shapes: B images, D channels, H x W cells.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

EPSILON = 1e-6
"""Added to norms, and the smallest feature that counts in a generalised mean."""

INITIAL_EXPONENT = 3.0


def l2_normalise(vectors_BD: Tensor) -> Tensor:
    """Return the vectors with length 1, B x D; zeros stay zeros."""
    length_B1: Tensor = vectors_BD.norm(dim=1, keepdim=True)
    return vectors_BD / (length_B1 + EPSILON)


def generalised_mean(features_BDHW: Tensor, exponent: Tensor | float) -> Tensor:
    """Return ``(mean over the cells of x^p)^(1/p)``, B x D; 1 is the mean, infinity would be the maximum."""
    return features_BDHW.clamp(min=EPSILON).pow(exponent).mean(dim=(2, 3)).pow(1.0 / exponent)


def maximum(features_BDHW: Tensor) -> Tensor:
    """Return the largest value of every channel (MAC), B x D."""
    return features_BDHW.amax(dim=(2, 3))


def mean(features_BDHW: Tensor) -> Tensor:
    """Return the mean of every channel (SPoC), B x D."""
    return features_BDHW.mean(dim=(2, 3))


def regional_maximum(features_BDHW: Tensor) -> Tensor:
    """Return the sum of the normalised maxima of square regions at three scales and of the whole (R-MAC), B x D."""
    pooled_BD = l2_normalise(maximum(features_BDHW))
    for top, left, side in regions(*features_BDHW.shape[2:]):
        region = features_BDHW[:, :, top : top + side, left : left + side]
        pooled_BD = pooled_BD + l2_normalise(maximum(region))
    return pooled_BD


REGION_SCALES = 3
REGION_OVERLAP = 0.4
"""Wanted overlap of neighbouring regions of the first scale along the longer side."""
MOST_REGIONS = 7
"""Of the first scale along the longer side."""


def regions(height: int, width: int) -> Iterator[tuple[int, int, int]]:
    """Yield top, left and side of the square regions of R-MAC, in cells; a map of one cell has only the first."""
    short, long = min(height, width), max(height, width)
    counts = torch.arange(2, MOST_REGIONS + 1, dtype=torch.float32)
    overlaps = (short**2 - short * (long - short) / (counts - 1)) / short**2
    extra = int((overlaps - REGION_OVERLAP).abs().argmin()) + 1 if height != width else 0
    for scale in range(1, REGION_SCALES + 1):
        side = 2 * short // (scale + 1)
        if side == 0:
            continue
        tops = _starts(height, side, scale + (extra if height > width else 0))
        lefts = _starts(width, side, scale + (extra if width > height else 0))
        yield from ((top, left, side) for top in tops for left in lefts)


def _starts(length: int, side: int, count: int) -> list[int]:
    """Return where regions begin: their centres, rounded down, are spread evenly."""
    half = side // 2 - 1
    step = (length - side) / (count - 1) if count > 1 else 0.0
    centres = (half + torch.arange(count, dtype=torch.float32) * step).floor()
    return [int(centre) - half for centre in centres]


class GeneralisedMean(nn.Module):
    """Generalised mean with a learned exponent ``p`` shared by all channels."""

    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), INITIAL_EXPONENT))

    def forward(self, features_BDHW: Tensor) -> Tensor:
        """Return one vector per image, B x D."""
        return generalised_mean(features_BDHW, self.p)


class Maximum(nn.Module):
    """MAC."""

    def forward(self, features_BDHW: Tensor) -> Tensor:
        """Return one vector per image, B x D."""
        return maximum(features_BDHW)


class Mean(nn.Module):
    """SPoC."""

    def forward(self, features_BDHW: Tensor) -> Tensor:
        """Return one vector per image, B x D."""
        return mean(features_BDHW)


class RegionalMaximum(nn.Module):
    """R-MAC."""

    def forward(self, features_BDHW: Tensor) -> Tensor:
        """Return one vector per image, B x D."""
        return regional_maximum(features_BDHW)


POOLINGS: dict[str, type[nn.Module]] = {
    "gem": GeneralisedMean,
    "mac": Maximum,
    "spoc": Mean,
    "rmac": RegionalMaximum,
}
"""``network.pooling`` -> its module."""
