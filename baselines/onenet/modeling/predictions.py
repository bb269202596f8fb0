"""What every head returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Predictions(NamedTuple):
    """Classes and boxes at every location of every level; see :class:`~baselines.onenet.structures.HeadOutput`."""

    logits_BKL: Tensor
    boxes_B4L: Tensor
    priors_PL: Tensor
    levels_L: Tensor | None
