"""Matching of images with the classes of a data set, in bounded memory.

Legend: b images of one size, L head rows (classes times views), P rows with a box, A anchors of all levels, D channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from yacs.config import CfgNode

from os2d.data.dataset import DatasetOneShotDetection
from os2d.data.eval_loader import EvalBatch, class_image_views
from os2d.modeling.head import Heads, Matches
from os2d.modeling.network import Os2d
from os2d.structures.boxes import BoxList
from os2d.structures.suppression import suppress

CLASS_IMAGES_AT_ONCE = 64
"""Class images whose feature maps are in memory together."""

BYTES_PER_CANDIDATE = 320
"""An anchor of a class holds 13 numbers as a match and about five times that while it is decoded."""


@dataclass(frozen=True)
class ClassHeads:
    """The heads of classes; class k owns the rows ``k * views`` to ``(k + 1) * views - 1``."""

    class_ids: list[int]
    views: int
    heads: Heads

    def row_class_ids(self, rows: slice) -> Tensor:
        """Return the class id of every row."""
        return torch.tensor([self.class_ids[row // self.views] for row in range(rows.start, rows.stop)])


@torch.no_grad()
def make_class_heads(
    model: Os2d, dataset: DatasetOneShotDetection, config: CfgNode, device: torch.device
) -> ClassHeads:
    """Return the heads of every class of a data set, a head per view of its class image."""
    class_ids: list[int] = []
    parts: list[Heads] = []
    loaded = class_image_views(dataset, config)
    while group := list(islice(loaded, CLASS_IMAGES_AT_ONCE)):
        class_ids += [class_id for class_id, _ in group]
        parts.append(model.make_heads([image.to(device) for _, views in group for image in views]))
    heads = Heads.cat(parts)
    return ClassHeads(class_ids, len(heads) // len(class_ids), heads)


@dataclass(frozen=True)
class MatchedRows:
    """Matches of every level with some consecutive head rows."""

    rows: slice
    levels: list[Matches]


@torch.no_grad()
def match_in_chunks(
    model: Os2d, levels: Sequence[Tensor], class_heads: ClassHeads, memory_mb: float
) -> Iterator[MatchedRows]:
    """Yield the matches of images with all classes, as many whole classes at a time as fit into the memory.

    Args:
        model: in evaluation mode.
        levels: the images at every scale, (b, 3, h, w) each, on the model's device.
        class_heads: the classes.
        memory_mb: for the matches and what is decoded from them.
    """
    # The features of all levels stay: a pyramid is a fixed number of images, whatever the number of classes.
    features = [model.extract_features(level) for level in levels]
    yield from match_features_in_chunks(model, features, class_heads, memory_mb)


@torch.no_grad()
def match_features_in_chunks(
    model: Os2d, features: Sequence[Tensor], class_heads: ClassHeads, memory_mb: float
) -> Iterator[MatchedRows]:
    """Yield what :func:`match_in_chunks` yields for the features of the levels, (b, D, h, w) each."""
    anchors = sum(f.shape[-2] * f.shape[-1] for f in features) * len(features[0])
    classes = max(1, int(memory_mb * 2**20 / (BYTES_PER_CANDIDATE * anchors * class_heads.views)))
    step = classes * class_heads.views
    for start in range(0, len(class_heads.heads), step):
        rows = slice(start, min(start + step, len(class_heads.heads)))
        yield MatchedRows(rows, [model.match(f, class_heads.heads[rows]) for f in features])


def detections_of_rows(
    model: Os2d, batch: EvalBatch, matched: MatchedRows, class_heads: ClassHeads, config: CfgNode, with_alignment: bool
) -> list[BoxList]:
    """Return the detections of every image of the batch for the classes of the rows, on the CPU.

    Fields: ``scores``, ``labels`` (class ids) and, with the alignment, ``transform_corners`` and ``default_boxes``; the
    frame is the loaded image.
    """
    class_ids = class_heads.row_class_ids(matched.rows)
    detections = []
    for i in range(len(batch.image_ids)):
        found = model.box_coder.decode_pyramid(
            [m.loc_scores[i] for m in matched.levels],
            [m.class_scores[i] for m in matched.levels],
            [m.corners[i] for m in matched.levels] if with_alignment else None,
            batch.level_sizes,
            [m.fm_size for m in matched.levels],
            class_ids,
            config.eval.nms_score_threshold,
            config.eval.nms_iou_threshold,
            batch.to_original,
            batch.loaded_size,
        )
        fields = {name: values for name, values in found.fields.items() if with_alignment or name != "default_boxes"}
        detections.append(BoxList(found.boxes_xyxy, found.size, fields).to("cpu"))
    return detections


def join_classes(parts: Sequence[BoxList], config: CfgNode) -> BoxList:
    """Return the detections of all classes of an image, suppressed between classes if the configuration says so."""
    joined = BoxList.cat(parts)
    if not config.eval.nms_across_classes:
        return joined
    return joined[suppress(joined.boxes_xyxy, joined.field("scores"), config.eval.nms_iou_threshold)]
