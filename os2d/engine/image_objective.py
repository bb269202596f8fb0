"""The objective of one evaluated image over all classes, summed up chunk by chunk.

Legend: L head rows, R rows of a chunk, P rows with a box, A anchors of all levels.
"""

from __future__ import annotations

from math import ceil, log

import torch
from torch import Tensor
from torch.nn.functional import relu, smooth_l1_loss

from os2d.data.eval_loader import EvalBatch
from os2d.engine.detection import ClassHeads, MatchedRows
from os2d.modeling.assignment import NEGATIVE, POSITIVE
from os2d.modeling.box_coder import BoxCoder
from os2d.modeling.loss_names import class_loss_names
from os2d.modeling.objective import TRIVIAL_LOSS, TRIVIAL_WEIGHT, Os2dObjective
from os2d.structures.boxes import BoxList


def losses_of_negatives(objective: Os2dObjective, scores: Tensor) -> Tensor:
    """Return the class loss that every score has as a negative, before anything is selected or weighted."""
    hinge = 0.5 * relu(scores - objective.neg_margin)
    return hinge if objective.class_objective == "RLL" else hinge.square()


class ImageObjective:
    """Takes the matches of an image class by class and keeps sums, so that memory does not grow with the classes.

    Targets depend on boxes and anchors alone, so the positives are known before the first match; of the views of a
    class only the first has some. What is left per row is a row of :class:`_SoftMaximum` (RLL), or in all the
    hardest negatives so far (ContrastiveLoss).
    """

    def __init__(
        self,
        index: int,
        gt: BoxList,
        class_heads: ClassHeads,
        objective: Os2dObjective,
        box_coder: BoxCoder,
        batch: EvalBatch,
        device: torch.device,
    ) -> None:
        self.index, self.objective = index, objective
        present = gt.field("labels").unique()
        row_of_class = {class_id: k * class_heads.views for k, class_id in enumerate(class_heads.class_ids)}
        self.rows_P = torch.tensor([row_of_class[c] for c in present.tolist()], dtype=torch.int64)
        self.num_rows = len(class_heads.heads)
        gt = gt.with_field("labels", torch.searchsorted(present, gt.field("labels"))).to(device)
        fm_sizes = [box_coder.feature_map_size(size) for size in batch.level_sizes]
        loc_targets, cls_targets = box_coder.encode_pyramid(
            gt, batch.level_sizes, len(present), fm_sizes, batch.to_original
        )
        self.loc_targets_P4A, self.targets_PA = torch.cat(loc_targets, dim=-1), torch.cat(cls_targets, dim=-1)
        self.num_pos = int((self.targets_PA == POSITIVE).sum())
        self.pos_loss = self.num_nontrivial = self.loc_loss = torch.zeros((), dtype=torch.float64, device=device)
        if objective.class_objective == "RLL":
            self.negatives: _SoftMaximum | _Hardest = _SoftMaximum(objective, self.num_pos, self.num_rows)
        else:
            self.negatives = _Hardest(ceil(objective.neg_to_pos_ratio * self.num_pos))

    def take(self, matched: MatchedRows) -> None:
        """Add the matches of the next rows."""
        objective, start = self.objective, matched.rows.start
        scores_RA = torch.cat([m.class_scores[self.index] for m in matched.levels], dim=-1)
        losses_RA = losses_of_negatives(objective, scores_RA)
        places = ((self.rows_P >= start) & (self.rows_P < matched.rows.stop)).nonzero().squeeze(1)
        if len(places):
            rows = (self.rows_P[places] - start).to(scores_RA.device)
            places = places.to(scores_RA.device)
            targets = self.targets_PA[places]
            losses_RA[rows] = torch.where(targets == NEGATIVE, losses_RA[rows], 0.0)
            self._take_positives(matched, rows, scores_RA[rows], targets == POSITIVE, self.loc_targets_P4A[places])
        self.negatives.take(losses_RA)

    def _take_positives(
        self, matched: MatchedRows, rows: Tensor, scores: Tensor, positive: Tensor, loc_targets: Tensor
    ) -> None:
        hinge = torch.where(positive, 0.5 * relu(self.objective.pos_margin - scores), 0.0)
        loss = hinge if self.objective.class_objective == "RLL" else hinge.square()
        self.pos_loss = self.pos_loss + loss.sum(dtype=torch.float64)
        self.num_nontrivial = self.num_nontrivial + (hinge > 0).sum()
        codes = torch.cat([m.loc_scores[self.index][rows] for m in matched.levels], dim=-1)
        loc_loss = torch.where(positive, smooth_l1_loss(codes, loc_targets, reduction="none").sum(dim=1), 0.0)
        self.loc_loss = self.loc_loss + loc_loss.sum(dtype=torch.float64)

    def terms(self) -> dict[str, float]:
        """Return every term of the objective, averaged over its elements, once all rows were taken."""
        objective, divisor = self.objective, max(self.num_pos, 1)
        pos = float(self.pos_loss)
        if objective.class_objective == "RLL":
            pos *= self.num_pos / max(int(self.num_nontrivial), 1)
        every_negative, kept_negatives = self.negatives.sums()
        pos_term, neg_term = pos / divisor, kept_negatives / divisor
        cls = pos_term + objective.class_neg_weight * neg_term
        loc = float(self.loc_loss) / divisor
        names = class_loss_names(objective.class_objective, objective.neg_to_pos_ratio)
        return {
            "loss": cls + objective.loc_weight * loc,
            "class_loss_per_element_detached_cpu": (pos + every_negative) / (self.num_rows * self.targets_PA.shape[-1]),
            "loc_smoothL1": loc,
            names.whole: cls,
            names.positives: pos_term,
            names.negatives: neg_term,
        }


class _Hardest:
    """Negatives of ContrastiveLoss: the sum over all of them, and over the ``count`` hardest."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.total: float | Tensor = 0.0
        self.hardest = torch.empty(0)

    def take(self, losses_RA: Tensor) -> None:
        self.total = self.total + losses_RA.sum(dtype=torch.float64)
        rivals = torch.cat([self.hardest.to(losses_RA), losses_RA.flatten()])
        self.hardest = rivals.topk(min(self.count, len(rivals)), sorted=False).values

    def sums(self) -> tuple[float, float]:
        """Return the sum of all losses, and of those that are kept."""
        return float(self.total), float(self.hardest.sum(dtype=torch.float64))


class _SoftMaximum:
    """Negatives of the ranked list loss: per row the mean of the losses, weighted exponentially.

    An element whose weight is trivial is dropped, and its weight depends on how many rows have a negative to learn
    from, which is known at the end only: so every row keeps its sum for each number of such rows, L numbers in place
    of A scores.
    """

    def __init__(self, objective: Os2dObjective, num_pos: int, num_rows: int) -> None:
        self.log_ratio = -log(objective.rll_neg_weight_ratio)
        self.num_pos, self.num_rows = num_pos, num_rows
        self.active: list[Tensor] = []
        self.weights: list[Tensor] = []
        self.weighted: list[Tensor] = []

    def take(self, losses_RA: Tensor) -> None:
        hardest_R1 = losses_RA.amax(dim=1, keepdim=True)
        temperature_R1 = self.log_ratio / hardest_R1.clamp(min=TRIVIAL_LOSS)
        weights_RA = torch.exp((losses_RA - hardest_R1) * temperature_R1) * (losses_RA > 0)
        sum_R1 = weights_RA.sum(dim=1, keepdim=True)
        # With n rows the weight is weights / (sum * n) * positives, and dropped from the smallest n on that brings it
        # down to TRIVIAL_WEIGHT.
        step_R1 = (TRIVIAL_WEIGHT * sum_R1 / max(self.num_pos, 1)).clamp(min=torch.finfo(torch.float32).tiny)
        kept_up_to_RA = ((weights_RA / step_R1).ceil() - 1).clamp(0, self.num_rows).long()
        sums = torch.zeros(len(losses_RA), self.num_rows + 1, dtype=torch.float64, device=losses_RA.device)
        sums.scatter_add_(1, kept_up_to_RA, (weights_RA * losses_RA).double())
        self.active.append((hardest_R1 > TRIVIAL_LOSS).squeeze(1).cpu())
        self.weights.append(sum_R1.squeeze(1).double().cpu())
        self.weighted.append(sums.flip(1).cumsum(1).flip(1).float().cpu())

    def sums(self) -> tuple[float, float]:
        """Return the sum of all weighted losses, and of those that are kept: without positives, none."""
        active_L, weights_L = torch.cat(self.active), torch.cat(self.weights)
        num_active = int(active_L.sum())
        normaliser_L = 1 / (weights_L * num_active)
        used_L = active_L & (normaliser_L > TRIVIAL_WEIGHT)
        weighted_L = torch.cat([sums[:, num_active] for sums in self.weighted]).double()
        total = float(torch.where(used_L, normaliser_L * weighted_L, 0.0).sum()) * max(self.num_pos, 1)
        return total, total if self.num_pos else 0.0
