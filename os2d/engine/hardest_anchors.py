"""The anchors of an image that the network gets most wrong, whatever their class, found chunk of classes by chunk.

Legend: L classes of a chunk, P of them with a box, A anchors of all levels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from os2d.data.eval_loader import EvalBatch
from os2d.engine.detection import MatchedRows
from os2d.engine.image_objective import losses_of_negatives
from os2d.modeling.network import Os2d
from os2d.modeling.objective import Levels, Os2dObjective, PerAnchor, joined
from os2d.structures.boxes import BoxList


class HardestAnchors:
    """The class with the highest loss at every anchor, of the classes seen so far; the first one of equals.

    All classes share the crop around an anchor, so suppression of overlapping crops would leave this one anyway.

    Attributes:
        ranked: (A,) the loss that counts, -inf where no anchor has the role; empty before the first classes.
        details: of that class at every anchor: ``label`` (row among all classes), ``loss``, ``loss_loc`` and ``score``,
            (A,) each, and ``transform_corners``, (A, 8) in the loaded image.
    """

    def __init__(self) -> None:
        self.ranked = torch.empty(0)
        self.details: dict[str, Tensor] = {}

    def take(self, ranked_A: Tensor, details: dict[str, Tensor]) -> None:
        """Add the hardest of some classes: the loss to compare, -inf where no anchor has the role, and its details."""
        if not len(self.ranked):
            self.ranked, self.details = ranked_A, details
            return
        harder = ranked_A > self.ranked
        self.ranked = torch.where(harder, ranked_A, self.ranked)
        for name, values in details.items():
            mask = harder.view(-1, *[1] * (values.ndim - 1))
            self.details[name] = torch.where(mask, values, self.details[name])


def take_hardest(
    hardest: dict[str, HardestAnchors],
    model: Os2d,
    objective: Os2dObjective,
    batch: EvalBatch,
    matched: MatchedRows,
    index: int,
    gt: BoxList,
) -> None:
    """Update the hardest anchors of an image with some classes; only those with a box need targets.

    Args:
        hardest: role -> the hardest so far.
        model: in evaluation mode.
        objective: measures how hard an anchor is.
        batch: the images.
        matched: what the network says about all of them and these classes.
        index: of the image in the batch.
        gt: its boxes; labels count the matched rows, those outside are of other classes.
    """
    scores_LA = torch.cat([m.class_scores[index] for m in matched.levels], dim=-1)
    loss_LA = losses_of_negatives(objective, scores_LA)
    anchors_A = torch.arange(scores_LA.shape[1], device=scores_LA.device)

    def take(role: str, ranked_PA: Tensor, rows_P: Tensor | None, cls_loss: Tensor, loc_loss: Tensor | None) -> None:
        ranked_A, place_A = ranked_PA.max(dim=0)
        row_A = place_A if rows_P is None else rows_P[place_A]
        details = {
            "label": row_A + matched.rows.start,
            "loss": cls_loss[place_A, anchors_A],
            "loss_loc": torch.zeros_like(ranked_A) if loc_loss is None else loc_loss[place_A, anchors_A],
            "score": scores_LA[row_A, anchors_A],
            "transform_corners": _corners_of(matched, index, row_A, batch),
        }
        hardest[role].take(ranked_A, details)

    in_chunk = (gt.field("labels") >= 0) & (gt.field("labels") < len(loss_LA))
    if not in_chunk.any():
        take("neg", loss_LA, None, loss_LA, None)
        return
    rows_P, local = gt.field("labels")[in_chunk].unique(return_inverse=True)
    rows_P = rows_P.to(scores_LA.device)
    boxes = gt[in_chunk].with_field("labels", local).to(scores_LA.device)
    terms = _terms_of_rows(model, objective, batch, matched, index, boxes, rows_P)
    cls_loss, loc_loss = _of_the_image(terms.cls_loss), _of_the_image(terms.loc_loss)
    for role, mask, loss in (
        ("pos", terms.pos_mask, cls_loss),
        ("pos_loc", terms.pos_for_regression, loc_loss),
    ):
        take(role, torch.where(_of_the_image(mask), loss, -torch.inf), rows_P, cls_loss, loc_loss)
    ranked_LA = loss_LA.clone()
    ranked_LA[rows_P] = torch.where(_of_the_image(terms.neg_mask), cls_loss, -torch.inf)
    loss_LA[rows_P] = cls_loss
    loc_loss_LA = torch.zeros_like(loss_LA)
    loc_loss_LA[rows_P] = loc_loss
    take("neg", ranked_LA, None, loss_LA, loc_loss_LA)


def _terms_of_rows(
    model: Os2d,
    objective: Os2dObjective,
    batch: EvalBatch,
    matched: MatchedRows,
    index: int,
    boxes: BoxList,
    rows_P: Tensor,
) -> PerAnchor:
    """Return the terms of the objective for the rows that have a box; the labels of the boxes count these rows."""
    coder, levels = model.box_coder, matched.levels
    fm_sizes = [m.fm_size for m in levels]
    loc_targets, cls_targets = coder.encode_pyramid(boxes, batch.level_sizes, len(rows_P), fm_sizes, batch.to_original)
    codes = [m.loc_scores[index][rows_P][None] for m in levels]
    scores = [m.class_scores[index][rows_P][None] for m in levels]
    remapped = None
    if objective.remap_classification_targets:
        remapped = [
            coder.remap_targets(c, [boxes], fm, [transform]).targets
            for c, fm, transform in zip(codes, fm_sizes, batch.to_original, strict=True)
        ]
    _, terms = objective.for_mining(
        codes, [t[None] for t in loc_targets], scores, [t[None] for t in cls_targets], cls_targets_remapped=remapped
    )
    return terms


def _corners_of(matched: MatchedRows, index: int, row_A: Tensor, batch: EvalBatch) -> Tensor:
    """Return the corners of one row per anchor in the loaded image, A x 8."""
    parts, start = [], 0
    for match, to_original in zip(matched.levels, batch.to_original, strict=True):
        count = match.class_scores.shape[-1]
        cells = torch.arange(count, device=row_A.device)
        corners = match.corners[index][row_A[start : start + count], :, cells]
        parts.append(to_original.apply_corners(corners))
        start += count
    return torch.cat(parts)


def _of_the_image(levels: Levels) -> Tensor:
    """Return the values of one image over the anchors of all levels, L x A."""
    return joined(levels)[0]
