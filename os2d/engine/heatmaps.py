"""Scores and targets of the few pairs of an image and a class whose heat maps are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from os2d.data.dataset import DatasetOneShotDetection
from os2d.data.eval_loader import EvalBatch
from os2d.engine.detection import ClassHeads
from os2d.engine.pictures import Pictures
from os2d.modeling.network import Os2d


@torch.no_grad()
def draw_heatmaps(
    model: Os2d,
    dataset: DatasetOneShotDetection,
    batch: EvalBatch,
    levels: Sequence[Tensor],
    class_heads: ClassHeads,
    pictures: Pictures,
    branch: str,
) -> None:
    """Draw the heat maps of a batch; its classes are matched once more, so that nothing is kept for the other images.

    Args:
        model: in evaluation mode.
        dataset: the images.
        batch: some of them.
        levels: of the batch, on the model's device.
        class_heads: classes that were looked for; others are left out.
        pictures: knows the pairs.
        branch: ``eval`` or ``mining``.
    """
    for index, image_id in enumerate(batch.image_ids):
        wanted = [c for c in pictures.wants_heatmap(image_id, branch) if c in class_heads.class_ids]
        if not wanted:
            continue
        views = class_heads.views
        first_rows = [class_heads.class_ids.index(class_id) * views for class_id in wanted]
        rows = torch.tensor([first + view for first in first_rows for view in range(views)], device=levels[0].device)
        matches = [model.match(model.extract_features(level), class_heads.heads[rows]) for level in levels]
        gt = batch.boxes[index]
        local = [wanted.index(c) * views if c in wanted else -1 for c in gt.field("labels").tolist()]
        gt = gt.with_field("labels", torch.tensor(local, dtype=torch.int64)).to(rows.device)
        _, targets = model.box_coder.encode_pyramid(
            gt, batch.level_sizes, len(rows), [m.fm_size for m in matches], batch.to_original
        )
        class_ids = [class_id for class_id in wanted for _ in range(views)]
        pictures.class_heatmaps(dataset, image_id, batch, index, matches, class_ids, targets, branch)
