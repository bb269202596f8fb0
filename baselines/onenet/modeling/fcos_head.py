"""The head of FCOS (arXiv 1904.01355) without its centre-ness, over five levels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from baselines.onenet.modeling.locations import boxes_around, grid
from baselines.onenet.modeling.predictions import Predictions
from baselines.onenet.modeling.tower import build_tower


class Scale(nn.Module):
    """A learned factor."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the product."""
        return x * self.scale


class FcosHead(nn.Module):
    """Classes, and distances to the four sides in strides of the level, times a learned factor of the level."""

    def __init__(
        self, in_channels: int, channels: int, depth: int, norm: str, strides: Sequence[int], num_classes: int
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.scales = nn.ModuleList(Scale() for _ in strides)
        self.cls_conv_module = build_tower(in_channels, channels, depth, norm)
        self.reg_conv_module = build_tower(in_channels, channels, depth, norm)
        self.cls_score = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.ltrb_pred = nn.Conv2d(channels, 4, 3, padding=1)

    def forward(self, features: list[Tensor]) -> Predictions:
        """Return the predictions from p3 to p7."""
        logits, boxes, points, levels = [], [], [], []
        for level, (x, scale, stride) in enumerate(zip(features, self.scales, self.strides, strict=True)):
            logits.append(self.cls_score(self.cls_conv_module(x)).flatten(2))
            distances_B4L = relu(scale(self.ltrb_pred(self.reg_conv_module(x)))).flatten(2).float() * stride
            points.append(grid(x.shape[-2], x.shape[-1], stride, stride // 2, like=x))
            boxes.append(boxes_around(points[-1], distances_B4L))
            levels.append(torch.full_like(points[-1][0], level, dtype=torch.int64))
        return Predictions(torch.cat(logits, 2), torch.cat(boxes, 2), torch.cat(points, 1), torch.cat(levels))
