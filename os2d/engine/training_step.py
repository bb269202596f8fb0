"""One step of training: losses and gradients of its batches, and the update.

A step whose loss or gradient is not finite must not change the network. On the CPU that is known at once. On a GPU the
answer would make the host wait in every step, and the GPU after it for the host: there the update is skipped on the
device itself where the optimiser can (sgd, adam, adamw), and the host reads what happened when it is known
anyway (:class:`DeferredOutcome`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from math import nan
from typing import NamedTuple

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer
from yacs.config import CfgNode

from os2d.data.train_loader import TrainBatch
from os2d.distributed import sum_gradients
from os2d.engine.batch_losses import BatchLosses, batch_losses
from os2d.engine.guarded_update import update_if
from os2d.engine.optimisation import trainable_parameters
from os2d.engine.pictures import Pictures
from os2d.modeling.network import Os2d
from os2d.modeling.objective import Os2dObjective


class StepOutcome(NamedTuple):
    """What a step measured and did; every tensor is on the device of the network.

    Attributes:
        meters: the losses and ``grad_norm`` (before clipping).
        updated: whether the step changed the network.
        loss_finite: whether the losses were finite; where the step did not change the network in spite of that, a
            gradient was not.
    """

    meters: OrderedDict[str, Tensor]
    updated: Tensor
    loss_finite: Tensor


def training_step(
    model: Os2d, optimizer: Optimizer, objective: Os2dObjective, batch: TrainBatch, train: CfgNode
) -> StepOutcome:
    """Take one step with one batch; see :class:`TrainingStep`."""
    return TrainingStep(model, optimizer, objective, train)([batch])


def build_scaler(precision: str, device: torch.device) -> GradScaler | None:
    """Return the scaler that keeps small gradients from vanishing in ``fp16``; other formats need none."""
    return GradScaler(device.type) if precision == "fp16" else None


class TrainingStep:
    """Takes steps: a parameter changes only if loss and gradient are finite; else the gradient stays, if there is any.

    Args:
        model: the network.
        optimizer: over its trainable parameters.
        objective: what is minimised.
        train: the configuration's branch ``train``.
        scaler: of the losses; None: they are taken as they are.
        pictures: draws the first batches if that is wanted.
    """

    def __init__(
        self,
        model: Os2d,
        optimizer: Optimizer,
        objective: Os2dObjective,
        train: CfgNode,
        scaler: GradScaler | None = None,
        pictures: Pictures | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.objective = objective
        self.train = train
        self.scaler = scaler
        self.pictures = pictures
        self.parameters = trainable_parameters(model)

    def __call__(self, batches: Sequence[TrainBatch], iteration: int = 0) -> StepOutcome:
        """Take one step with the mean gradient of the batches."""
        losses, loss_finite = self.compute_gradients(batches, iteration)
        on_cpu = loss_finite.device.type == "cpu"
        if on_cpu and not loss_finite:
            losses["grad_norm"] = torch.tensor(nan)
            return StepOutcome(losses, torch.tensor(False), loss_finite)
        if self.scaler:
            self.scaler.unscale_(self.optimizer)
        norm = get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        losses["grad_norm"] = norm
        updated = loss_finite & torch.isfinite(norm)
        clip = partial(clip_grads_with_norm_, self.parameters, self.train.optim.max_grad_norm, norm)
        update_if(updated, self.optimizer, clip)
        if self.scaler:
            self.scaler.update()
        return StepOutcome(losses, updated, loss_finite)

    def compute_gradients(
        self, batches: Sequence[TrainBatch], iteration: int = 0
    ) -> tuple[OrderedDict[str, Tensor], Tensor]:
        """Leave the gradients in the parameters, and return the mean losses and whether all of them are finite."""
        self.optimizer.zero_grad(set_to_none=True)
        sums: OrderedDict[str, Tensor] = OrderedDict()
        finite = torch.ones((), dtype=torch.bool, device=batches[0].images.device)
        for batch in batches:
            computed = self._backward(batch, len(batches), iteration)
            finite = finite & computed.finite
            for name, value in computed.losses.items():
                value = value.detach() if len(batches) == 1 else value.detach().mean() / len(batches)
                sums[name] = sums[name] + value if name in sums else value
            # The backward pass of grid_sample on the CPU ends the process where the alignment is not finite.
            if finite.device.type == "cpu" and not finite:
                return sums, finite
        sum_gradients(self.parameters)
        return sums, finite

    def _backward(self, batch: TrainBatch, num_batches: int, iteration: int) -> BatchLosses:
        if self.pictures:
            self.pictures.training_batch(batch, iteration)
        computed = batch_losses(self.model, self.objective, batch, self.train)
        if computed.finite.device.type == "cpu" and not computed.finite:
            return computed
        if self.pictures:
            self.pictures.keep_gradients(computed.matches, iteration)
        loss = computed.losses["loss"] if num_batches == 1 else computed.losses["loss"] / num_batches
        (self.scaler.scale(loss) if self.scaler else loss).backward()
        if self.pictures:
            self._draw(self.pictures, batch, computed, iteration)
        return computed

    def _draw(self, pictures: Pictures, batch: TrainBatch, computed: BatchLosses, iteration: int) -> None:
        pictures.training_detections(batch, computed.matches, self.model.box_coder, iteration)
        if computed.remapped is not None:
            per_element = computed.losses["class_loss_per_element_detached_cpu"]
            pictures.target_remapping(batch, computed.matches, computed.remapped, per_element, iteration)


class DeferredOutcome:
    """The numbers of a step on the host, when they have arrived there.

    The copy starts at once; reading waits for this step alone, not for what the device was given to do since.
    """

    def __init__(self, outcome: StepOutcome) -> None:
        values = [value.double().mean() for value in outcome.meters.values()]
        packed = torch.stack([*values, outcome.updated.double(), outcome.loss_finite.double()])
        self._names = list(outcome.meters)
        self._arrived: torch.cuda.Event | None = None
        if packed.is_cuda:
            self._host = torch.empty(packed.shape, dtype=packed.dtype, pin_memory=True)
            self._host.copy_(packed, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record()
        else:
            self._host = packed

    def read(self) -> tuple[dict[str, float], bool, bool]:
        """Return the meters, whether the network was changed, and whether the losses were finite."""
        if self._arrived is not None:
            self._arrived.synchronize()
        *values, updated, loss_finite = self._host.tolist()
        return dict(zip(self._names, values, strict=True)), bool(updated), bool(loss_finite)
