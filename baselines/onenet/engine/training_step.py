"""One step of training; a parameter changes only if the losses and all gradients are finite numbers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from math import nan

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer
from yacs.config import CfgNode

from baselines.onenet.engine.optimisation import clipping
from baselines.onenet.modeling.losses import Criterion
from baselines.onenet.modeling.model import OneNet
from baselines.onenet.structures import Targets
from os2d.distributed import sum_gradients, sum_over_processes, world_size
from os2d.engine.guarded_update import update_if
from os2d.engine.optimisation import trainable_parameters
from os2d.engine.training_step import StepOutcome
from os2d.modeling.precision import autocast


def training_precision(solver: CfgNode) -> str:
    """Return the number format of the forward pass: ``fp32``, or that of ``SOLVER.AMP`` if it is enabled."""
    return solver.AMP.PRECISION if solver.AMP.ENABLED else "fp32"


class TrainingStep:
    """Takes steps.

    Args:
        model: the network, in training mode.
        criterion: what is minimised.
        optimizer: over the learning parameters.
        solver: the configuration's branch ``SOLVER``.
        scaler: of the losses in fp16; None: they are taken as they are.
    """

    def __init__(
        self,
        model: OneNet,
        criterion: Criterion,
        optimizer: Optimizer,
        solver: CfgNode,
        scaler: GradScaler | None = None,
    ) -> None:
        self.model = model
        self.criterion = criterion
        self.optimizer = optimizer
        self.solver = solver
        self.scaler = scaler
        self.parameters = trainable_parameters(model)

    def __call__(self, images: Sequence[Tensor], targets: Sequence[Targets]) -> StepOutcome:
        """Take one step; of several processes each has its own images, and all take the same step.

        The losses that are told are the means over the processes.
        """
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.losses(images, targets)
        total = sum(losses.values(), torch.zeros((), device=self.model.device))
        meters = _means_over_processes({"loss": total, **losses})
        loss_finite = torch.isfinite(meters["loss"])
        if loss_finite.device.type == "cpu" and not loss_finite:
            meters["grad_norm"] = torch.tensor(nan)
            return StepOutcome(meters, torch.tensor(False), loss_finite)
        total = total / world_size()  # gradients are summed over the processes
        (self.scaler.scale(total) if self.scaler else total).backward()
        sum_gradients(self.parameters)
        if self.scaler:
            self.scaler.unscale_(self.optimizer)
        norm = get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        updated = loss_finite & torch.isfinite(norm)
        update_if(updated, self.optimizer, clipping(self.parameters, norm, self.solver.CLIP_GRADIENTS))
        if self.scaler:
            self.scaler.update()
        meters["grad_norm"] = norm
        return StepOutcome(meters, updated, loss_finite)

    def losses(self, images: Sequence[Tensor], targets: Sequence[Targets]) -> dict[str, Tensor]:
        """Return the weighted losses of a batch, with their graph."""
        precision = training_precision(self.solver)
        with autocast("SOLVER.AMP.PRECISION", precision, self.model.device.type):
            output = self.model.raw(images)
        return self.criterion(output, targets)


def _means_over_processes(values: dict[str, Tensor]) -> OrderedDict[str, Tensor]:
    means = sum_over_processes(torch.stack([value.detach() for value in values.values()])) / world_size()
    return OrderedDict(zip(values, means, strict=True))
