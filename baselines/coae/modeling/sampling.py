"""Random choices among candidates, without a loop over images and without asking the device for a count.

A choice is a function of random numbers that are drawn before: candidates are ranked by keys, or picked at shares of
their number.

Legend: B images, N candidates, S slots to fill.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class AnchorKeys(NamedTuple):
    """Random numbers for the anchors of a batch, B x N each; the lowest keys are left out first."""

    positive_BN: Tensor
    negative_BN: Tensor


class RegionKeys(NamedTuple):
    """Random numbers for the regions of a batch: keys B x N, the lowest chosen first, and shares in [0, 1), B x S."""

    foreground_BN: Tensor
    filling_BS: Tensor


def draw_anchor_keys(rng: np.random.Generator, batch: int, count: int) -> AnchorKeys:
    """Draw keys for all anchors of a batch."""
    positive, negative = (torch.from_numpy(rng.random((batch, count), dtype=np.float32)) for _ in range(2))
    return AnchorKeys(positive, negative)


def draw_region_keys(rng: np.random.Generator, batch: int, count: int, slots: int) -> RegionKeys:
    """Draw keys for all candidate regions of a batch, and shares for all slots."""
    keys = torch.from_numpy(rng.random((batch, count), dtype=np.float32))
    return RegionKeys(keys, torch.from_numpy(rng.random((batch, slots))))


def rank_among(chosen_BN: Tensor, keys_BN: Tensor) -> Tensor:
    """Return the position of every chosen candidate among the chosen ones by rising key; large numbers elsewhere."""
    order_BN = keys_BN.masked_fill(~chosen_BN, torch.inf).argsort(dim=1)
    ranks_BN = torch.empty_like(order_BN)
    positions = torch.arange(order_BN.shape[1], device=order_BN.device).expand_as(order_BN)
    ranks_BN.scatter_(1, order_BN, positions)
    return ranks_BN.masked_fill(~chosen_BN, order_BN.shape[1])


def without_surplus(chosen_BN: Tensor, keys_BN: Tensor, allowed_B: Tensor) -> Tensor:
    """Return the chosen candidates but those with the lowest keys, so that no more than allowed remain."""
    surplus_B = (chosen_BN.sum(dim=1) - allowed_B).clamp(min=0)
    return chosen_BN & (rank_among(chosen_BN, keys_BN) >= surplus_B[:, None])


def indices_by_key(chosen_BN: Tensor, keys_BN: Tensor) -> Tensor:
    """Return the indices of all candidates, B x N, the chosen ones first and by rising key."""
    return keys_BN.masked_fill(~chosen_BN, torch.inf).argsort(dim=1, stable=True)


def indices_in_order(chosen_BN: Tensor) -> Tensor:
    """Return the indices of all candidates, B x N, the chosen ones first, in their order."""
    return (~chosen_BN).to(torch.uint8).argsort(dim=1, stable=True)
