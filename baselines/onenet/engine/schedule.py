"""The learning rate of every iteration: a linear warm-up, then steps down."""

from __future__ import annotations

from bisect import bisect_right

from torch.optim import Optimizer
from yacs.config import CfgNode

BASE_LR = "initial_lr"
"""Key of a parameter group with its learning rate before any factor; torch's own schedulers call it so too."""


def lr_factor(iteration: int, solver: CfgNode) -> float:
    """Return what the learning rates of an iteration, from 0, are multiplied with."""
    gamma: float = solver.GAMMA
    return warmup_factor(iteration, solver) * gamma ** bisect_right(sorted(solver.STEPS), iteration)


def warmup_factor(iteration: int, solver: CfgNode) -> float:
    """Return the part of the factor that rises from ``WARMUP_FACTOR`` to 1."""
    if iteration >= solver.WARMUP_ITERS:
        return 1.0
    start: float = solver.WARMUP_FACTOR
    done: float = iteration / solver.WARMUP_ITERS
    return start * (1 - done) + done


def set_lr(optimizer: Optimizer, iteration: int, solver: CfgNode) -> None:
    """Give every parameter group the learning rate of an iteration."""
    factor = lr_factor(iteration, solver)
    for group in optimizer.param_groups:
        group["lr"] = group[BASE_LR] * factor
