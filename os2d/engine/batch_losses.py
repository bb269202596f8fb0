"""The losses of one batch: forward, targets, objective; and what may be backpropagated."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor
from yacs.config import CfgNode

from os2d.data.train_loader import TrainBatch
from os2d.engine.joint_batch import count_own_images, join_images
from os2d.modeling.box_coder import RemappedTargets
from os2d.modeling.head import Matches
from os2d.modeling.network import Os2d
from os2d.modeling.objective import Os2dObjective
from os2d.modeling.precision import autocast


class BatchLosses(NamedTuple):
    """What the network says about the images of this process, and the losses of the joint batch."""

    matches: Matches
    remapped: RemappedTargets | None
    losses: OrderedDict[str, Tensor]
    finite: Tensor
    """Whether loss and boxes are finite numbers."""


def batch_losses(model: Os2d, objective: Os2dObjective, batch: TrainBatch, train: CfgNode) -> BatchLosses:
    """Return the losses of a batch in training mode; negatives do not train the alignment unless they should.

    Args:
        model: the network.
        objective: what is minimised.
        batch: on the network's device.
        train: the configuration's branch ``train``.
    """
    count_own_images(model, not batch.stands_in)
    matches = _match(model, batch, train)
    remapped = None
    if train.objective.remap_classification_targets:
        remapped = model.box_coder.remap_targets(matches.loc_scores, batch.boxes, matches.fm_size)
    parts = [matches.loc_scores, batch.loc_targets, matches.class_scores[:, :, None], batch.cls_targets[:, :, None]]
    parts.append(matches.class_scores_detached[:, :, None])
    if remapped is not None:
        parts.append(remapped.targets[:, :, None])
    num_images = len(batch.images) if batch.num_joint_images is None else batch.num_joint_images
    loc, loc_targets, scores, cls_targets, detached, *targets = join_images(parts, num_images)
    losses = objective(
        loc,
        loc_targets,
        scores[:, :, 0],
        cls_targets[:, :, 0],
        cls_targets_remapped=targets[0][:, :, 0] if targets else None,
        cls_preds_for_neg=None if train.model.train_transform_on_negs else detached[:, :, 0],
    )
    finite = torch.isfinite(losses["loss"].detach()) & torch.isfinite(loc.detach()).all()
    return BatchLosses(matches, remapped, losses, finite)


def _match(model: Os2d, batch: TrainBatch, train: CfgNode) -> Matches:
    """Return the matches of the batch in training mode."""
    settings = train.model
    model.train(
        freeze_bn_in_extractor=settings.freeze_bn,
        freeze_transform_params=settings.freeze_transform,
        freeze_bn_transform=settings.freeze_bn_transform,
    )
    with autocast("train.precision", train.precision, batch.images.device.type):
        matches: Matches = model(
            images=batch.images,
            class_images=batch.class_images,
            train_mode=True,
            fine_tune_features=settings.train_features,
        )
    return matches
