"""From the predictions at every location to the detections in an image: the best ones, and nothing else.

Shapes: B images, K classes, L locations, T detections kept of an image, N detections returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from baselines.onenet.structures import Detections, HeadOutput
from os2d.structures.boxes import has_area
from os2d.structures.sizes import Size

NMS_IOU = 0.5


class Selection(NamedTuple):
    """Which predictions become detections.

    Args:
        detections_per_image: T, at most.
        suppress_overlaps: drop boxes that overlap a better one of their class.
    """

    detections_per_image: int = 100
    suppress_overlaps: bool = False


class Candidates(NamedTuple):
    """The best predictions of every image, best first; boxes in pixels of the network's input."""

    boxes_BT4: Tensor
    scores_BT: Tensor
    classes_BT: Tensor


def detect(output: HeadOutput, output_sizes: Sequence[Size], selection: Selection) -> list[Detections]:
    """Return the detections of every image, in pixels of the output sizes."""
    candidates = best_candidates(output.logits_BKL, output.boxes_B4L, selection.detections_per_image)
    kept_BT = torch.ones_like(candidates.classes_BT, dtype=torch.bool)
    if selection.suppress_overlaps:
        kept_BT = without_overlaps(candidates)
    return in_output_sizes(candidates, kept_BT, output.image_sizes, output_sizes)


def best_candidates(logits_BKL: Tensor, boxes_B4L: Tensor, count: int) -> Candidates:
    """Return the ``count`` most probable pairs of a location and a class; fewer where there are fewer locations.

    The best of each class come first, then the best of these: the choice is the same as among all pairs, and among
    equal scores it is that of the published program.
    """
    _, classes, locations = logits_BKL.shape
    per_class = min(count, locations)
    scores_BKT, location_BKT = logits_BKL.sigmoid().topk(per_class, dim=2)
    scores_BT, index_BT = scores_BKT.flatten(1).topk(min(count, classes * per_class), dim=1)
    location_BT = location_BKT.flatten(1).gather(1, index_BT)
    boxes_BT4 = boxes_B4L.mT.gather(1, location_BT[:, :, None].expand(-1, -1, 4))
    return Candidates(boxes_BT4, scores_BT, index_BT.div(per_class, rounding_mode="floor"))


def without_overlaps(candidates: Candidates) -> Tensor:
    """Return which candidates overlap no better one of their class and image by more than half, B x T."""
    boxes_BT4, scores_BT, classes_BT = candidates
    image_B1 = torch.arange(len(boxes_BT4), device=boxes_BT4.device)[:, None]
    group_BT = image_B1 * (classes_BT.max() + 1) + classes_BT
    # Groups are told apart by moving their boxes far from each other, which single precision would round.
    kept = batched_nms(boxes_BT4.flatten(0, 1).double(), scores_BT.flatten().double(), group_BT.flatten(), NMS_IOU)
    mask = torch.zeros_like(scores_BT.flatten(), dtype=torch.bool)
    mask[kept] = True
    return mask.view_as(scores_BT)


def in_output_sizes(
    candidates: Candidates, kept_BT: Tensor, input_sizes: Sequence[Size], output_sizes: Sequence[Size]
) -> list[Detections]:
    """Return the kept candidates of every image, resized, clipped to the image, and without those outside of it."""
    boxes_BT4, scores_BT, classes_BT = candidates
    limits_B4 = torch.tensor([size * 2 for size in output_sizes], dtype=torch.float32)
    scales_B4 = limits_B4 / torch.tensor([size * 2 for size in input_sizes], dtype=torch.float32)
    limits_B14, scales_B14 = (values[:, None].to(boxes_BT4.device) for values in (limits_B4, scales_B4))
    boxes_BT4 = torch.minimum((boxes_BT4 * scales_B14).clamp(min=0), limits_B14)
    kept_BT = kept_BT & has_area(boxes_BT4)
    counts = kept_BT.sum(1).tolist()
    parts = (values[kept_BT].split(counts) for values in (boxes_BT4, scores_BT, classes_BT))
    return [Detections(boxes, scores, classes) for boxes, scores, classes in zip(*parts, strict=True)]
