"""The objective of one evaluated image over all classes, gathered chunk by chunk.

Legend: L head rows, P rows with a box, A anchors of all levels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from os2d.data.eval_loader import EvalBatch
from os2d.engine.detection import ClassHeads, MatchedRows
from os2d.engine.objective import Os2dObjective
from os2d.modeling.box_coder import BoxCoder
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size


class ImageObjective:
    """Collects what the objective needs of an image: all class scores, but codes only of rows with a box.

    The localisation loss of the other rows is zero, and their codes would take four times the memory of the scores.
    Of the views of a class only the first has positives.
    """

    def __init__(self, index: int, gt: BoxList, class_heads: ClassHeads) -> None:
        self.index = index
        present = gt.field("labels").unique()
        row_of_class = {class_id: k * class_heads.views for k, class_id in enumerate(class_heads.class_ids)}
        self.rows_P = torch.tensor([row_of_class[c] for c in present.tolist()], dtype=torch.int64)
        self.gt = gt.with_field("labels", torch.searchsorted(present, gt.field("labels")))
        self.scores: list[Tensor] = []
        self.codes: list[Tensor] = []
        self.fm_sizes: list[Size] = []

    def take(self, matched: MatchedRows) -> None:
        """Add the matches of the next rows."""
        self.fm_sizes = [m.fm_size for m in matched.levels]
        self.scores.append(torch.cat([m.class_scores[self.index] for m in matched.levels], dim=-1))
        inside = (self.rows_P >= matched.rows.start) & (self.rows_P < matched.rows.stop)
        wanted = (self.rows_P[inside] - matched.rows.start).to(self.scores[-1].device)
        self.codes.append(torch.cat([m.loc_scores[self.index][wanted] for m in matched.levels], dim=-1))

    def terms(self, objective: Os2dObjective, box_coder: BoxCoder, batch: EvalBatch) -> dict[str, float]:
        """Return every term of the objective, averaged over its elements, once all rows were taken."""
        scores_LA, codes_P4A = torch.cat(self.scores), torch.cat(self.codes)
        device, rows_P = scores_LA.device, self.rows_P.to(scores_LA.device)
        loc_targets, cls_targets = box_coder.encode_pyramid(
            self.gt.to(device), batch.level_sizes, len(rows_P), self.fm_sizes, batch.to_original
        )
        targets_PA = torch.cat(cls_targets, dim=-1)
        targets_LA = torch.zeros(scores_LA.shape, dtype=torch.int8, device=device)
        targets_LA[rows_P] = targets_PA.to(torch.int8)
        no_codes = scores_LA.new_zeros(1, 1, 4, 1)
        losses = objective(no_codes, no_codes, scores_LA[None], targets_LA[None])
        loc_targets_P4A = torch.cat(loc_targets, dim=-1)
        of_boxes = objective(codes_P4A[None], loc_targets_P4A[None], scores_LA[None, rows_P], targets_PA[None])
        losses["loc_smoothL1"] = of_boxes["loc_smoothL1"]
        losses["loss"] = losses["loss"] + objective.loc_weight * losses["loc_smoothL1"]
        return {name: float(value.double().mean()) for name, value in losses.items()}
