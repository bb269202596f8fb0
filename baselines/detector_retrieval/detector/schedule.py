"""How long and how fast the detector learns, for the number of processes that train it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn
from torch.optim import SGD
from yacs.config import CfgNode

from os2d.choices import choose

WARMUP_METHODS = ("linear", "constant")


@dataclass(frozen=True)
class Schedule:
    """A training's length, its batches and its learning rate.

    Args:
        base_lr: after the warm-up.
        max_iter: number of steps.
        milestones: counts of steps from which the learning rate is ``gamma`` times smaller.
        gamma: see there.
        warmup_steps: so long the learning rate rises.
        warmup_factor: where it starts, relative to ``base_lr``.
        warmup_method: linear, or constant until the warm-up is over.
        images_per_process: of a training batch.
    """

    base_lr: float
    max_iter: int
    milestones: tuple[int, ...]
    gamma: float
    warmup_steps: int
    warmup_factor: float
    warmup_method: str
    images_per_process: int

    @staticmethod
    def from_config(solver: CfgNode, processes: int) -> Schedule:
        """Return the schedule of ``SOLVER``: fewer processes than it assumes learn from smaller batches, for longer."""
        share = processes / solver.ASSUMED_GPUS
        return Schedule(
            base_lr=solver.BASE_LR * share,
            max_iter=int(solver.MAX_ITER / share),
            milestones=tuple(int(step / share) for step in solver.STEPS),
            gamma=solver.GAMMA,
            warmup_steps=solver.WARMUP_ITERS,
            warmup_factor=solver.WARMUP_FACTOR,
            warmup_method=choose("SOLVER.WARMUP_METHOD", solver.WARMUP_METHOD, {name: name for name in WARMUP_METHODS}),
            images_per_process=max(int(solver.IMS_PER_BATCH * share) // processes, 1),
        )

    def factor(self, count: int) -> float:
        """Return the learning rate relative to ``base_lr`` when the scheduler has counted so far."""
        decay = self.gamma ** bisect_right(self.milestones, count)
        if count >= self.warmup_steps:
            return decay
        if self.warmup_method == "constant":
            return self.warmup_factor * decay
        progress = count / self.warmup_steps
        return (self.warmup_factor * (1 - progress) + progress) * decay

    def set_lr(self, optimizer: SGD, iteration: int) -> None:
        """Set the learning rates of a step; the published program counts before each, so the first one is 1."""
        for group in optimizer.param_groups:
            group["lr"] = self.base_lr * group["lr_factor"] * self.factor(iteration + 1)


def build_optimizer(parameters: Iterable[tuple[str, nn.Parameter]], solver: CfgNode, base_lr: float) -> SGD:
    """Return SGD over the named parameters that require a gradient; biases learn faster and do not decay."""
    learning = [(name, p) for name, p in parameters if p.requires_grad]
    weights = [p for name, p in learning if "bias" not in name]
    biases = [p for name, p in learning if "bias" in name]
    groups = [
        {"params": weights, "lr_factor": 1.0, "weight_decay": solver.WEIGHT_DECAY},
        {"params": biases, "lr_factor": float(solver.BIAS_LR_FACTOR), "weight_decay": solver.WEIGHT_DECAY_BIAS},
    ]
    return SGD(groups, lr=base_lr, momentum=solver.MOMENTUM)
