"""One step of training: forward, targets, losses, gradient, update."""

from __future__ import annotations

from collections import OrderedDict
from math import nan
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer
from yacs.config import CfgNode

from os2d.data.train_loader import TrainBatch
from os2d.engine.objective import Os2dObjective
from os2d.engine.optimisation import trainable_parameters
from os2d.modeling.head import Matches
from os2d.modeling.model import Os2d


class StepOutcome(NamedTuple):
    """The losses and ``grad_norm`` (before clipping) of a step, and whether it changed the network."""

    meters: OrderedDict[str, Tensor]
    updated: bool


def training_step(
    model: Os2d, optimizer: Optimizer, objective: Os2dObjective, batch: TrainBatch, train: CfgNode
) -> StepOutcome:
    """Take one step, unless loss or gradient is not finite: then no parameter changes, and the gradient stays, if any.

    The device is waited for here and nowhere else in a step: one with a broken gradient could not be undone.

    Args:
        model: the network.
        optimizer: over its trainable parameters.
        objective: what is minimised.
        batch: on the network's device.
        train: the configuration's branch ``train``.
    """
    optimizer.zero_grad(set_to_none=True)
    matches = _match(model, batch, train)
    losses = _losses(model, objective, batch, matches, train)
    meters = OrderedDict((name, value.detach()) for name, value in losses.items())
    # Not only the gradient: the backward pass of grid_sample on the CPU ends the process where the alignment is not
    # finite, whatever the loss is.
    if not (torch.isfinite(losses["loss"]) & torch.isfinite(matches.loc_scores).all()):
        meters["grad_norm"] = torch.tensor(nan)
        return StepOutcome(meters, updated=False)
    losses["loss"].backward()
    parameters = trainable_parameters(model)
    grad_norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
    meters["grad_norm"] = grad_norm
    if not torch.isfinite(grad_norm):
        return StepOutcome(meters, updated=False)
    clip_grads_with_norm_(parameters, train.optim.max_grad_norm, grad_norm)
    optimizer.step()
    return StepOutcome(meters, updated=True)


def _match(model: Os2d, batch: TrainBatch, train: CfgNode) -> Matches:
    """Return the matches of the batch in training mode."""
    settings = train.model
    model.train(
        freeze_bn_in_extractor=settings.freeze_bn,
        freeze_transform_params=settings.freeze_transform,
        freeze_bn_transform=settings.freeze_bn_transform,
    )
    return model(
        images=batch.images,
        class_images=batch.class_images,
        train_mode=True,
        fine_tune_features=settings.train_features,
    )


def _losses(
    model: Os2d, objective: Os2dObjective, batch: TrainBatch, matches: Matches, train: CfgNode
) -> OrderedDict[str, Tensor]:
    """Return the losses of the batch; negatives do not train the alignment unless they should."""
    remapped = None
    if train.objective.remap_classification_targets:
        remapped = model.box_coder.remap_targets(matches.loc_scores, batch.boxes, matches.fm_size).targets
    return objective(
        matches.loc_scores,
        batch.loc_targets,
        matches.class_scores,
        batch.cls_targets,
        cls_targets_remapped=remapped,
        cls_preds_for_neg=None if train.model.train_transform_on_negs else matches.class_scores_detached,
    )
