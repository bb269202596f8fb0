"""The training objective: which scores and boxes are wrong, and by how much (OS2D, section 4.3).

Shapes: B images, L labels, A anchors; of an image pyramid, the anchors of all levels one after the other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu, smooth_l1_loss
from yacs.config import CfgNode

from os2d.choices import choose
from os2d.errors import ConfigError
from os2d.modeling.assignment import IGNORED
from os2d.modeling.loss_names import CLASS_OBJECTIVES, class_loss_names

TRIVIAL_LOSS = 1e-5
"""A label whose hardest negative loses less than this has no negatives to learn from."""

TRIVIAL_WEIGHT = 1e-8
"""Negatives and labels with a smaller weight are dropped."""

Levels = Tensor | Sequence[Tensor]
"""A tensor, or one per level of an image pyramid; anchors are the last dimension."""


class PerAnchor(NamedTuple):
    """The terms of the objective for every anchor; each B x L x A, or one tensor per pyramid level.

    Attributes:
        pos_mask: anchors that should score high.
        neg_mask: anchors that should score low.
        cls_loss: class loss; zero for ignored anchors.
        loc_loss: localisation loss; zero where it does not count.
        pos_for_regression: anchors whose localisation counts.
    """

    pos_mask: Levels
    neg_mask: Levels
    cls_loss: Levels
    loc_loss: Levels
    pos_for_regression: Levels


class _Hinges(NamedTuple):
    """Masks of the anchors that count for the class loss, and how far each is on the wrong side of its margin."""

    positive: Tensor
    negative: Tensor
    pos: Tensor
    neg: Tensor


class _ElementLosses(NamedTuple):
    """Class losses of every anchor, and the negatives whose loss counts."""

    pos: Tensor
    neg: Tensor
    kept: Tensor


@dataclass(frozen=True)
class Os2dObjective:
    """Class loss plus weighted localisation loss; the arguments are the keys of ``train.objective``.

    Raises:
        ConfigError: for an unknown class objective or a value out of range.
    """

    class_objective: str = "RLL"
    neg_margin: float = 0.5
    pos_margin: float = 0.6
    loc_weight: float = 0.2
    neg_to_pos_ratio: float = 3
    class_neg_weight: float = 1.0
    rll_neg_weight_ratio: float = 0.001
    remap_classification_targets: bool = True

    def __post_init__(self) -> None:
        name = choose("train.objective.class_objective", self.class_objective, CLASS_OBJECTIVES)
        object.__setattr__(self, "class_objective", name)
        if not 0 < self.rll_neg_weight_ratio <= 1:
            raise ConfigError(
                f"train.objective.rll_neg_weight_ratio: expected a number in (0, 1], got {self.rll_neg_weight_ratio}"
            )

    @staticmethod
    def from_config(config: CfgNode) -> Os2dObjective:
        """Return the objective of ``train.objective``."""
        objective = config.train.objective
        return Os2dObjective(
            class_objective=objective.class_objective,
            neg_margin=objective.neg_margin,
            pos_margin=objective.pos_margin,
            loc_weight=objective.loc_weight,
            neg_to_pos_ratio=objective.neg_to_pos_ratio,
            class_neg_weight=objective.class_neg_weight,
            rll_neg_weight_ratio=objective.rll_neg_weight_ratio,
            remap_classification_targets=objective.remap_classification_targets,
        )

    def __call__(
        self,
        loc_preds: Levels,
        loc_targets: Levels,
        cls_preds: Levels,
        cls_targets: Levels,
        cls_targets_remapped: Levels | None = None,
        cls_preds_for_neg: Levels | None = None,
    ) -> OrderedDict[str, Tensor]:
        """Return the losses by name; ``loss`` is the one to minimise.

        ``class_loss_per_element_detached_cpu`` (B, L, A) keeps its published name but stays on the device: the copy
        would wait for it in every step.

        Args:
            loc_preds: predicted codes, (B, L, 4, A).
            loc_targets: their targets.
            cls_preds: scores, (B, L, A).
            cls_targets: 1 positive, 0 negative, -1 ignored, (B, L, A).
            cls_targets_remapped: replace the targets of the class loss (if the objective was built so).
            cls_preds_for_neg: scores to use for negatives, whose gradient may reach less of the network.
        """
        hinges = self._hinges(cls_preds, cls_targets, cls_targets_remapped, cls_preds_for_neg)
        loc_loss, for_regression = _loc_loss(loc_preds, loc_targets, cls_targets)
        if self.class_objective == "RLL":
            elements = self._ranked_list_losses(hinges)
        else:
            elements = self._hardest_negatives_losses(hinges)
        return self._total(hinges.positive, elements, loc_loss, for_regression)

    def for_mining(
        self,
        loc_preds: Levels,
        loc_targets: Levels,
        cls_preds: Levels,
        cls_targets: Levels,
        cls_targets_remapped: Levels | None = None,
        cls_preds_for_neg: Levels | None = None,
    ) -> tuple[OrderedDict[str, Tensor], PerAnchor]:
        """Return the losses without any selection or weighting of anchors, and the terms of every anchor.

        The arguments are those of a call.
        """
        hinges = self._hinges(cls_preds, cls_targets, cls_targets_remapped, cls_preds_for_neg)
        loc_loss, for_regression = _loc_loss(loc_preds, loc_targets, cls_targets)
        elements = self._plain_losses(hinges)
        losses = self._total(hinges.positive, elements, loc_loss, for_regression)
        terms = (hinges.positive, hinges.negative, elements.pos + elements.neg, loc_loss, for_regression)
        return losses, PerAnchor(*(_split_like(term, cls_preds) for term in terms))

    def _hinges(
        self,
        cls_preds: Levels,
        cls_targets: Levels,
        cls_targets_remapped: Levels | None,
        cls_preds_for_neg: Levels | None,
    ) -> _Hinges:
        targets = joined(cls_targets)
        if cls_targets_remapped is not None and self.remap_classification_targets:
            targets = joined(cls_targets_remapped)
        scores = joined(cls_preds)
        scores_for_neg = scores if cls_preds_for_neg is None else joined(cls_preds_for_neg)
        positive, negative = targets > 0, (targets <= 0) & (targets != IGNORED)
        return _Hinges(
            positive,
            negative,
            pos=torch.where(positive, 0.5 * relu(self.pos_margin - scores), 0.0),
            neg=torch.where(negative, 0.5 * relu(scores_for_neg - self.neg_margin), 0.0),
        )

    def _plain_losses(self, hinges: _Hinges) -> _ElementLosses:
        """Return the class losses of every anchor by itself."""
        if self.class_objective == "RLL":
            return _ElementLosses(hinges.pos, hinges.neg, kept=hinges.negative)
        return _ElementLosses(hinges.pos.square(), hinges.neg.square(), kept=hinges.negative)

    def _hardest_negatives_losses(self, hinges: _Hinges) -> _ElementLosses:
        """Return the class losses, keeping the hardest negatives of the batch."""
        elements = self._plain_losses(hinges)
        ranked = torch.where(hinges.negative, elements.neg.detach(), -inf).flatten()
        order = ranked.argsort(descending=True, stable=True)
        rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        hardest = rank.view_as(elements.neg) < self.neg_to_pos_ratio * hinges.positive.sum()
        return elements._replace(kept=hinges.negative & hardest)

    def _ranked_list_losses(self, hinges: _Hinges) -> _ElementLosses:
        """Return the ranked list losses: a mean over nontrivial positives, a soft maximum over negatives per label.

        Both are scaled by the number of positives, which the total divides by; without positives no negative is kept.
        """
        num_pos = hinges.positive.sum()
        num_nontrivial = (hinges.pos.detach() > 0).sum()
        pos_loss = hinges.pos * (num_pos / num_nontrivial.clamp(min=1))
        weights = self._ranked_list_weights(hinges.neg.detach()) * num_pos.clamp(min=1)
        neg_loss = hinges.neg * torch.where(weights > TRIVIAL_WEIGHT, weights, 0.0)
        return _ElementLosses(pos_loss, neg_loss, kept=hinges.negative & (num_pos > 0))

    def _ranked_list_weights(self, loss_BLA: Tensor) -> Tensor:
        """Return weights of negatives, growing exponentially with their loss; in sum 1 over all labels."""
        hardest_L = loss_BLA.amax(dim=(0, 2), keepdim=True)
        active_L = hardest_L > TRIVIAL_LOSS
        temperature_L = -log(self.rll_neg_weight_ratio) / hardest_L.clamp(min=TRIVIAL_LOSS)
        weights = torch.exp((loss_BLA - hardest_L) * temperature_L) * (loss_BLA > 0)
        normaliser_L = 1 / (weights.sum(dim=(0, 2), keepdim=True) * active_L.sum())
        used_L = active_L & (normaliser_L > TRIVIAL_WEIGHT)
        return weights * torch.where(used_L, normaliser_L, 0.0)

    def _total(
        self, positive: Tensor, elements: _ElementLosses, loc_loss: Tensor, for_regression: Tensor
    ) -> OrderedDict[str, Tensor]:
        num_pos = positive.sum().clamp(min=1)
        cls_pos = elements.pos.sum() / num_pos
        cls_neg = torch.where(elements.kept, elements.neg, 0.0).sum() / num_pos
        cls = cls_pos + self.class_neg_weight * cls_neg
        loc = loc_loss.sum() / for_regression.sum().clamp(min=1)
        names = class_loss_names(self.class_objective, self.neg_to_pos_ratio)
        return OrderedDict(
            [
                ("loss", cls + self.loc_weight * loc),
                ("class_loss_per_element_detached_cpu", (elements.pos + elements.neg).detach()),
                ("loc_smoothL1", loc),
                (names.whole, cls),
                (names.positives, cls_pos),
                (names.negatives, cls_neg),
            ]
        )


def _loc_loss(loc_preds: Levels, loc_targets: Levels, cls_targets: Levels) -> tuple[Tensor, Tensor]:
    """Return the localisation loss of every anchor, zero where it does not count, and which anchors count."""
    loss_BL4A = smooth_l1_loss(joined(loc_preds), joined(loc_targets), reduction="none")
    for_regression = joined(cls_targets) > 0
    return torch.where(for_regression, loss_BL4A.sum(dim=2), 0.0), for_regression


def joined(levels: Levels) -> Tensor:
    """Return the values over the anchors of all levels, one level after the other."""
    return levels if isinstance(levels, Tensor) else torch.cat(list(levels), dim=-1)


def _split_like(values: Tensor, levels: Levels) -> Levels:
    if isinstance(levels, Tensor):
        return values
    return list(values.split([level.shape[-1] for level in levels], dim=-1))
