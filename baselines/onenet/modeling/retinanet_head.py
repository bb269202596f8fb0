"""The head of RetinaNet (arXiv 1708.02002), over five levels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.onenet.modeling.anchors import AnchorGenerator, boxes_from_deltas
from baselines.onenet.modeling.predictions import Predictions
from baselines.onenet.modeling.tower import build_tower


class RetinaNetHead(nn.Module):
    """Classes and boxes of every anchor."""

    def __init__(self, in_channels: int, channels: int, depth: int, anchors: AnchorGenerator, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.cls_conv_module = build_tower(in_channels, channels, depth, norm=None)
        self.reg_conv_module = build_tower(in_channels, channels, depth, norm=None)
        self.anchor_generator = anchors
        self.cls_score = nn.Conv2d(channels, anchors.per_cell * num_classes, 3, padding=1)
        self.bbox_pred = nn.Conv2d(channels, anchors.per_cell * 4, 3, padding=1)

    def forward(self, features: list[Tensor]) -> Predictions:
        """Return the predictions from p3 to p7."""
        logits, boxes, levels = [], [], []
        anchors = self.anchor_generator(features)
        for level, (x, anchors_4L) in enumerate(zip(features, anchors, strict=True)):
            logits.append(per_anchor(self.cls_score(self.cls_conv_module(x)), self.num_classes))
            deltas_B4L = per_anchor(self.bbox_pred(self.reg_conv_module(x)), 4)
            boxes.append(boxes_from_deltas(anchors_4L, deltas_B4L))
            levels.append(torch.full_like(anchors_4L[0], level, dtype=torch.int64))
        return Predictions(torch.cat(logits, 2), torch.cat(boxes, 2), torch.cat(anchors, 1), torch.cat(levels))


def per_anchor(x_BCHW: Tensor, values: int) -> Tensor:
    """Return B x values x L of a map whose channels are anchor by anchor: L runs over rows, columns, anchors."""
    x_BAVHW: Tensor = x_BCHW.unflatten(1, (-1, values))
    return x_BAVHW.permute(0, 2, 3, 4, 1).flatten(2)
