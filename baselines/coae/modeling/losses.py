"""The five losses of CoAE (section 3.3).

Legend: B images, N anchors, S sampled regions of an image.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from baselines.coae.modeling.anchor_targets import IGNORED, POSITIVE, AnchorTargets
from baselines.coae.modeling.region_targets import RegionTargets
from baselines.coae.modeling.rpn import RpnOutput

RPN_SIGMA, HEAD_SIGMA = 3.0, 1.0
MARGIN_WEIGHT = 3.0


class Losses(NamedTuple):
    """What is added up and minimised."""

    rpn_class: Tensor
    rpn_box: Tensor
    head_class: Tensor
    margin: Tensor
    head_box: Tensor

    @property
    def total(self) -> Tensor:
        """The sum."""
        return torch.stack(self).sum()


def smooth_l1(predicted: Tensor, target: Tensor, inside: Tensor, outside: Tensor, sigma: float) -> Tensor:
    """Return the weighted smooth L1 loss, added up over all but the first dimension and averaged over that.

    Quadratic where the difference, times ``inside``, is less than ``1 / sigma ** 2``; ``outside`` weighs the values.
    """
    difference = (inside * (predicted - target)).abs()
    limit = sigma**-2
    values = torch.where(difference < limit, 0.5 * sigma**2 * difference.square(), difference - 0.5 * limit)
    return (outside * values).flatten(1).sum(dim=1).mean()


def rpn_losses(output: RpnOutput, targets: AnchorTargets) -> tuple[Tensor, Tensor]:
    """Return the class loss and the box loss of the first stage."""
    logits, labels = output.logits_BN2.flatten(0, 1), targets.labels_BN.flatten()
    class_loss = cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    class_loss = class_loss / (labels != IGNORED).sum().clamp(min=1)  # a small image may have no anchor inside
    positive_BN1 = (targets.labels_BN == POSITIVE)[:, :, None].float()
    # Not a mean over each image's own samples: published networks were trained with the number of the last image's.
    sampled = (targets.labels_BN[-1] != IGNORED).sum().clamp(min=1)
    box_loss = smooth_l1(output.deltas_BN4, targets.deltas_BN4, positive_BN1, positive_BN1 / sampled, RPN_SIGMA)
    return class_loss, box_loss


def head_losses(
    logits_BS2: Tensor, deltas_BS4: Tensor, targets: RegionTargets, margin: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the class loss, the margin loss and the box loss of the second stage."""
    class_loss = cross_entropy(logits_BS2.flatten(0, 1), targets.labels_BS.flatten())
    margin_loss = margin_ranking_loss(logits_BS2.softmax(dim=2)[:, :, 1], targets.labels_BS, margin)
    positive_S1 = (targets.labels_BS == 1).flatten()[:, None].float()
    deltas_S4, wanted_S4 = deltas_BS4.flatten(0, 1), targets.deltas_BS4.flatten(0, 1)
    return class_loss, margin_loss, smooth_l1(deltas_S4, wanted_S4, positive_S1, positive_S1, HEAD_SIGMA)


def margin_ranking_loss(scores_BS: Tensor, labels_BS: Tensor, margin: float) -> Tensor:
    """Return how far pairs of regions are from being ranked with a margin, over all ordered pairs (CoAE, eq. 3).

    Scores of one label should differ by less than the margin, those of different labels by more than 1 minus the
    margin. A region is paired with itself too, as in the published program.
    """
    apart_BSS = (scores_BS[:, :, None] - scores_BS[:, None, :]).abs()
    differ_BSS = labels_BS[:, :, None] != labels_BS[:, None, :]
    excess_BSS = torch.where(differ_BSS, 1 - margin - apart_BSS, apart_BSS - margin).clamp(min=0)
    return MARGIN_WEIGHT * excess_BSS.mean()
