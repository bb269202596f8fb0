"""Exact non-maximum suppression of many boxes, as an evaluation without a score threshold needs it.

Shapes: N boxes, R boxes that are still in doubt, K boxes just kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

FEW_BOXES = 1500
"""So few boxes are left to torchvision, whose cost is the product of the boxes and those that stay."""

WINDOW = 256
"""Of so many boxes with the highest scores in doubt, the first that stay suppress all others before it goes on."""

KEPT_AT_ONCE = 16

PAIRS_AT_ONCE = 32_000
"""Overlaps computed together: they stay in the cache and below 32768, where torch would wake other threads."""


def suppress(boxes_N4: Tensor, scores_N: Tensor, iou_threshold: float) -> Tensor:
    """Return the indices ``torchvision.ops.nms`` returns: of the boxes that stay, by falling score.

    On a CPU torchvision visits every box once for every box that stays. Here a box that is suppressed is taken out, so
    that the tens of thousands of anchors of an image pyramid quickly become few.

    >>> boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
    >>> suppress(boxes, torch.tensor([0.5, 0.9, 0.1]), iou_threshold=0.3)
    tensor([1, 2])

    Args:
        boxes_N4: in pixels.
        scores_N: of the boxes.
        iou_threshold: a box goes that overlaps more with one of a higher score.
    """
    if len(boxes_N4) <= FEW_BOXES or boxes_N4.device.type != "cpu" or boxes_N4.dtype != torch.float32:
        indices: Tensor = nms(boxes_N4, scores_N, iou_threshold)
        return indices
    threshold = _float32_at_most(iou_threshold)
    order_R = _falling(scores_N)
    rest_5R = _with_areas(boxes_N4.index_select(0, order_R).T)
    kept: list[Tensor] = []
    while len(order_R) > FEW_BOXES:
        first_K = _kept_in_order(rest_5R[:4, :WINDOW], iou_threshold)[:KEPT_AT_ONCE]
        kept.append(order_R[first_K])
        seen = int(first_K[-1]) + 1
        candidates_5R = rest_5R[:, seen:]
        left = (_highest_iou(rest_5R[:, first_K], candidates_5R) <= threshold).nonzero().squeeze(1)
        rest_5R, order_R = candidates_5R.index_select(1, left), order_R[seen:].index_select(0, left)
    kept.append(order_R[_kept_in_order(rest_5R[:4], iou_threshold)])
    return torch.cat(kept)


def suppress_runs(boxes_N4: Tensor, scores_N: Tensor, lengths: Sequence[int], iou_threshold: float) -> Tensor:
    """Return the indices of the boxes that non-maximum suppression keeps, run by run and by falling score.

    A run is as many neighbouring boxes as ``lengths`` says, all of one class. ``torchvision.ops.batched_nms`` shifts
    the boxes of each class by a multiple of the image size, which costs float32 precision, and is quadratic in the
    boxes of all classes; this is quadratic per class, and classes share the threads of a CPU.
    """

    @torch.no_grad()
    def kept_in(run: slice[int, int, None]) -> Tensor:
        return suppress(boxes_N4[run], scores_N[run], iou_threshold) + run.start

    runs = [slice(stop - length, stop) for length, stop in zip(lengths, accumulate(lengths), strict=True)]
    threads = min(torch.get_num_threads(), sum(length > FEW_BOXES for length in lengths))
    if boxes_N4.device.type == "cpu" and threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            kept = list(pool.map(kept_in, runs))
    else:
        kept = [kept_in(run) for run in runs]
    return torch.cat([torch.empty(0, dtype=torch.int64, device=boxes_N4.device), *kept])


def _kept_in_order(boxes_4N: Tensor, iou_threshold: float) -> Tensor:
    """Return the indices of the boxes that stay, given by falling score."""
    falling = torch.arange(boxes_4N.shape[1], 0, -1, dtype=torch.float32)
    kept: Tensor = nms(boxes_4N.T.contiguous(), falling, iou_threshold)
    return kept


def _highest_iou(kept_5K: Tensor, rest_5R: Tensor) -> Tensor:
    """Return the largest overlap of every other box with one that stays, rounded like torchvision's."""
    num_kept, num_rest = kept_5K.shape[1], rest_5R.shape[1]
    highest_R = torch.empty(num_rest)
    kept_x1, kept_y1, kept_x2, kept_y2, kept_area = kept_5K.unsqueeze(-1)
    step = max(1, PAIRS_AT_ONCE // num_kept)
    buffers = torch.empty(3, num_kept, min(step, num_rest))
    for start in range(0, num_rest, step):
        x1, y1, x2, y2, area = rest_5R[:, start : start + step]
        width, height, spare = buffers if len(x1) == buffers.shape[2] else torch.empty(3, num_kept, len(x1))
        torch.minimum(kept_x2, x2, out=width).sub_(torch.maximum(kept_x1, x1, out=spare)).clamp_(min=0)
        torch.minimum(kept_y2, y2, out=height).sub_(torch.maximum(kept_y1, y1, out=spare)).clamp_(min=0)
        intersection = width.mul_(height)
        union = torch.add(kept_area, area, out=height).sub_(intersection)
        torch.amax(intersection.div_(union), dim=0, out=highest_R[start : start + step])
    return highest_R


def _with_areas(boxes_4N: Tensor) -> Tensor:
    """Return boxes and their areas; none is 0, so that two boxes without an area overlap by 0 and not by 0 / 0."""
    areas_N = (boxes_4N[2] - boxes_4N[0]) * (boxes_4N[3] - boxes_4N[1])
    return torch.cat([boxes_4N, areas_N.clamp(min=torch.finfo(torch.float32).tiny)[None]])


def _falling(scores_N: Tensor) -> Tensor:
    """Return the indices by falling score, equal scores in their order.

    Position and score make one whole number, because numbers are sorted several times faster than indices.
    """
    bits = (scores_N + 0.0).float().numpy().view(np.int32).astype(np.int64)  # + 0.0: -0.0 equals 0.0
    rising = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits)  # floats below zero count backwards
    keys = (-rising << 32) + np.arange(len(rising))
    keys.sort()
    return torch.from_numpy(keys & 0xFFFFFFFF)


def _float32_at_most(threshold: float) -> float:
    """Return the largest float32 not above the threshold: torchvision compares with the threshold in float64."""
    rounded = np.float32(threshold)
    return float(rounded if float(rounded) <= threshold else np.nextafter(rounded, np.float32(-np.inf)))
