"""The optimiser of a retrieval network and its learning rate."""

from __future__ import annotations

from math import exp
from typing import Any

import torch
from torch.optim import Optimizer
from yacs.config import CfgNode

from baselines.detector_retrieval.retrieval.network import RetrievalNetwork


def build_optimizer(network: RetrievalNetwork, train: CfgNode) -> Optimizer:
    """Return the optimiser of the branch ``train``; the exponent of the pooling learns faster and does not decay."""
    groups: list[dict[str, Any]] = [{"params": list(network.features.parameters()), "lr": train.lr}]
    of_pooling = list(network.pool.parameters())
    if of_pooling:
        groups.append({"params": of_pooling, "lr": train.lr * train.pooling_lr_factor, "weight_decay": 0.0})
    if network.whiten is not None:
        groups.append({"params": list(network.whiten.parameters()), "lr": train.lr})
    for group in groups:
        group["initial_lr"] = group["lr"]
    if train.optim_method.lower() == "sgd":
        return torch.optim.SGD(groups, lr=train.lr, momentum=train.momentum, weight_decay=train.weight_decay)
    return torch.optim.Adam(groups, lr=train.lr, weight_decay=train.weight_decay)


def set_epoch(optimizer: Optimizer, epoch: int, decay: float) -> None:
    """Set the learning rates of an epoch, counted from 0."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * exp(-decay * epoch)
