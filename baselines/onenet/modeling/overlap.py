"""Generalised intersection over union (Rezatofighi et al. 2019), for boxes given as four tensors of coordinates.

Coordinates apart from each other are what lets a whole batch be matched in one broadcast: a pair of T targets and L
locations is T x L numbers, four times, and every operation runs over contiguous memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SMALLEST_AREA = torch.finfo(torch.float32).tiny
"""Two boxes without area at one point divide nothing by nothing; by this instead, which gives 0 and not NaN."""


def generalised_iou(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Return the generalised IoU, in [-1, 1], of boxes (x1, y1, x2, y2) that broadcast against each other.

    Coordinates are in pixels and in float32: areas of half-precision coordinates overflow from 256 x 256 px on.
    """
    ax1, ay1, ax2, ay2 = first
    bx1, by1, bx2, by2 = second
    width = (torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)).clamp(min=0)
    height = (torch.minimum(ay2, by2) - torch.maximum(ay1, by1)).clamp(min=0)
    intersection = width * height
    union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - intersection
    enclosing_width = torch.maximum(ax2, bx2) - torch.minimum(ax1, bx1)
    enclosing_height = torch.maximum(ay2, by2) - torch.minimum(ay1, by1)
    enclosing = enclosing_width * enclosing_height
    iou = intersection / union.clamp(min=SMALLEST_AREA)
    return iou - (enclosing - union) / enclosing.clamp(min=SMALLEST_AREA)
