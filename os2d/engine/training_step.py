"""One step of training: forward, targets, losses, gradient, update."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer
from yacs.config import CfgNode

from os2d.data.train_loader import TrainBatch
from os2d.engine.objective import Os2dObjective
from os2d.engine.optimisation import trainable_parameters
from os2d.modeling.model import Os2d


class StepOutcome(NamedTuple):
    """The losses and ``grad_norm`` (before clipping) of a step, and whether it changed the network."""

    meters: OrderedDict[str, Tensor]
    updated: bool


def training_step(
    model: Os2d, optimizer: Optimizer, objective: Os2dObjective, batch: TrainBatch, train: CfgNode
) -> StepOutcome:
    """Take one step, unless the gradient is not finite: then the network stays as it is and keeps the gradient.

    Args:
        model: the network.
        optimizer: over its trainable parameters.
        objective: what is minimised.
        batch: on the network's device.
        train: the configuration's branch ``train``.
    """
    optimizer.zero_grad(set_to_none=True)
    losses = compute_losses(model, objective, batch, train)
    losses["loss"].backward()
    parameters = trainable_parameters(model)
    gradients = [p.grad for p in parameters if p.grad is not None]
    grad_norm = get_total_norm(gradients)
    meters = OrderedDict((name, value.detach()) for name, value in losses.items())
    meters["grad_norm"] = grad_norm
    # The one place where every step waits for the device: a step with a broken gradient cannot be undone.
    if not torch.isfinite(grad_norm):
        return StepOutcome(meters, updated=False)
    clip_grads_with_norm_(parameters, train.optim.max_grad_norm, grad_norm)
    optimizer.step()
    return StepOutcome(meters, updated=True)


def compute_losses(
    model: Os2d, objective: Os2dObjective, batch: TrainBatch, train: CfgNode
) -> OrderedDict[str, Tensor]:
    """Return the losses of a batch in training mode; negatives do not train the alignment unless they should."""
    settings = train.model
    model.train(
        freeze_bn_in_extractor=settings.freeze_bn,
        freeze_transform_params=settings.freeze_transform,
        freeze_bn_transform=settings.freeze_bn_transform,
    )
    matches = model(
        images=batch.images,
        class_images=batch.class_images,
        train_mode=True,
        fine_tune_features=settings.train_features,
    )
    remapped = None
    if train.objective.remap_classification_targets:
        remapped = model.box_coder.remap_targets(matches.loc_scores, batch.boxes, matches.fm_size).targets
    return objective(
        matches.loc_scores,
        batch.loc_targets,
        matches.class_scores,
        batch.cls_targets,
        cls_targets_remapped=remapped,
        cls_preds_for_neg=None if settings.train_transform_on_negs else matches.class_scores_detached,
    )
