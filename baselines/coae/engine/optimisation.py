"""The optimiser: one parameter group per tensor, as in published checkpoints, and no decay of biases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch.optim import SGD, Adam, Optimizer
from yacs.config import CfgNode

from baselines.coae.modeling.model import CoAE
from os2d.choices import choose

OPTIMISERS: Mapping[str, Callable[[list[dict[str, Any]], CfgNode], Optimizer]] = {
    "sgd": lambda groups, optim: SGD(groups, momentum=optim.sgd_momentum),
    "adam": lambda groups, optim: Adam(groups),
}


def build_optimizer(model: CoAE, optim: CfgNode) -> Optimizer:
    """Return the optimiser of ``train.optim`` over what learns.

    Raises:
        ConfigError: for an unknown ``optim_method``.
    """
    groups = [
        {
            "params": [parameter],
            "lr": optim.lr * (2 if optim.double_bias and "bias" in name else 1),
            "weight_decay": optim.weight_decay if optim.bias_decay or "bias" not in name else 0.0,
        }
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    return choose("train.optim.optim_method", optim.optim_method, OPTIMISERS)(groups, optim)


def learning_rates(optimizer: Optimizer) -> list[float]:
    """Return the learning rate of every group."""
    return [float(group["lr"]) for group in optimizer.param_groups]


def set_learning_rates(optimizer: Optimizer, rates: list[float]) -> None:
    """Give every group its learning rate."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
