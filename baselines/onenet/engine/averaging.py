"""A moving average of the weights over the iterations, which is evaluated in place of the last weights."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from yacs.config import CfgNode

from baselines.onenet.modeling.model import OneNet


class WeightAverage:
    """The average of a network; its buffers, such as the statistics of norms, are those of the last iteration.

    Args:
        model: the network that learns.
        decay: share of the average that an iteration keeps.
    """

    def __init__(self, model: OneNet, decay: float) -> None:
        self.decay = decay
        self.model = deepcopy(model).requires_grad_(False).eval()
        self._averaged: list[Tensor] = list(self.model.parameters())
        self._learning: list[Tensor] = list(model.parameters())
        self._kept, self._latest = list(self.model.buffers()), list(model.buffers())

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after an iteration."""
        torch._foreach_lerp_(self._averaged, self._learning, 1 - self.decay)
        torch._foreach_copy_(self._kept, self._latest)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged network."""
        return self.model.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved average."""
        self.model.load_state_dict(state)


def build_average(model: OneNet, config: CfgNode) -> WeightAverage | None:
    """Return the average that ``MODEL.EMA`` asks for, starting at the weights of the network."""
    return WeightAverage(model, config.MODEL.EMA.DECAY) if config.MODEL.EMA.ENABLED else None
