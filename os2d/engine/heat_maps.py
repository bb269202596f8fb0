"""The heat maps that a configuration asks for, of some classes in some images, while these are in memory.

Legend: R head rows, classes times views.
"""

from __future__ import annotations

import logging

import torch

from os2d.data.dataset import DatasetOneShotDetection
from os2d.data.eval_loader import EvalBatch
from os2d.engine.detection import ClassHeads
from os2d.engine.pictures import Pictures
from os2d.modeling.model import Os2d
from os2d.structures.boxes import BoxList

logger = logging.getLogger(__name__)


@torch.no_grad()
def draw_heat_maps(
    pictures: Pictures,
    model: Os2d,
    dataset: DatasetOneShotDetection,
    batch: EvalBatch,
    class_heads: ClassHeads,
    branch: str,
) -> None:
    """Draw what ``visualization.<branch>`` lists for the images of a batch; matches these few classes once more.

    Args:
        pictures: draws, and knows what is listed.
        model: in evaluation mode.
        dataset: the images.
        batch: images at every scale.
        class_heads: the classes of the data set.
        branch: ``eval`` or ``mining``.
    """
    for index, image_id in enumerate(batch.image_ids):
        listed = pictures.wants_heatmap(image_id, branch)
        if not listed:
            continue
        wanted = [class_id for class_id in listed if class_id in class_heads.class_ids]
        if absent := sorted(set(listed) - set(wanted)):
            logger.warning("visualization.%s.labels_for_heatmaps: no class %s in %s", branch, absent, dataset.name)
        if not wanted:
            continue
        views = class_heads.views
        rows_R = [class_heads.class_ids.index(class_id) * views + view for class_id in wanted for view in range(views)]
        heads = class_heads.heads[torch.tensor(rows_R, device=class_heads.heads.templates.device)]
        device = next(model.parameters()).device
        matches = [model.match(model.extract_features(level.to(device)), heads) for level in batch.levels]
        _, targets = model.box_coder.encode_pyramid(
            _with_row_labels(batch.boxes[index], wanted, views),
            batch.level_sizes,
            len(rows_R),
            [match.fm_size for match in matches],
            batch.to_original,
        )
        class_ids = [class_id for class_id in wanted for _ in range(views)]
        pictures.class_heatmaps(dataset, image_id, batch, index, matches, class_ids, targets, branch)


def _with_row_labels(boxes: BoxList, class_ids: list[int], views: int) -> BoxList:
    """Return the boxes with the first row of their class for a label, -1 for other classes."""
    row = {class_id: k * views for k, class_id in enumerate(class_ids)}
    labels = [row.get(label, -1) for label in boxes.field("labels").tolist()]
    return boxes.with_field("labels", torch.tensor(labels, dtype=torch.int64))
