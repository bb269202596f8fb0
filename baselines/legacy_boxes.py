"""Box arithmetic of the detectors that count pixels: a box from x1 to x2 covers both, so its width is x2 - x1 + 1.

CoAE and maskrcnn-benchmark were trained with it, and so were the weights published for them.

Shapes: N boxes, M other boxes; boxes are ``x1, y1, x2, y2`` in pixels, leading dimensions are batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

import torch
from torch import Tensor

from os2d.structures.sizes import Size
from os2d.structures.suppression import suppress

LARGEST_LOG_SCALE = log(1000 / 16)
"""Where maskrcnn-benchmark stops the growth of a decoded side; CoAE has no such limit."""


def sides(boxes: Tensor) -> Tensor:
    """Return the widths and heights (..., 2) of boxes (..., 4)."""
    return boxes[..., 2:] - boxes[..., :2] + 1


def area(boxes: Tensor) -> Tensor:
    """Return the number of pixels (...) in boxes (..., 4)."""
    return sides(boxes).prod(dim=-1)


def iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the intersection over union (..., N, M) of every box (..., N, 4) with every other box (..., M, 4)."""
    top_left = torch.maximum(boxes[..., :, None, :2], others[..., None, :, :2])
    bottom_right = torch.minimum(boxes[..., :, None, 2:], others[..., None, :, 2:])
    intersection = (bottom_right - top_left + 1).clamp(min=0).prod(dim=-1)
    return intersection / (area(boxes)[..., :, None] + area(others)[..., None, :] - intersection)


def clip(boxes: Tensor, size: Size) -> Tensor:
    """Return boxes (..., 4) moved into ``[0, w - 1] x [0, h - 1]``, the pixels of an image."""
    limits = boxes.new_tensor([size.w - 1, size.h - 1, size.w - 1, size.h - 1])
    return torch.minimum(boxes.clamp(min=0), limits)


def mirrored(boxes: Tensor, width: int) -> Tensor:
    """Return boxes (..., 4) in the mirrored image of so many pixels."""
    left, top, right, bottom = boxes.unbind(dim=-1)
    return torch.stack([width - 1 - right, top, width - 1 - left, bottom], dim=-1)


def suppress_legacy(boxes_N4: Tensor, scores_N: Tensor, iou_threshold: float) -> Tensor:
    """Return the indices of the boxes that non-maximum suppression keeps, by falling score.

    Boxes one pixel longer have the plain overlap that these have by counted pixels.
    """
    return suppress(boxes_N4 + boxes_N4.new_tensor([0, 0, 1, 1]), scores_N, iou_threshold)


@dataclass(frozen=True)
class LegacyBoxCoder:
    """Expresses boxes relative to other boxes: shifts over the reference's sides, logs of the ratios of the sides.

    Args:
        weights: factors of the codes of x, y, width and height.
        last_pixel: taken from x2 and y2 of a decoded box: 1 makes decoding the inverse of encoding, as in
            maskrcnn-benchmark; with 0 a decoded box is a pixel longer, as in CoAE.
        largest_log_scale: the codes of width and height are cut here before they are exponentiated.
    """

    weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    last_pixel: float = 1.0
    largest_log_scale: float = inf

    def encode(self, boxes: Tensor, references: Tensor) -> Tensor:
        """Return the codes (..., 4) of boxes (..., 4) relative to the references (..., 4)."""
        box_sides, reference_sides = sides(boxes), sides(references)
        box_centers = boxes[..., :2] + 0.5 * box_sides
        reference_centers = references[..., :2] + 0.5 * reference_sides
        shift = (box_centers - reference_centers) / reference_sides
        codes = torch.cat([shift, torch.log(box_sides / reference_sides)], dim=-1)
        return codes * codes.new_tensor(self.weights)

    def decode(self, codes: Tensor, references: Tensor) -> Tensor:
        """Return the boxes (..., 4) that the codes (..., 4) describe relative to the references (..., 4)."""
        shift, log_scale = (codes / codes.new_tensor(self.weights)).split(2, dim=-1)
        reference_sides = sides(references)
        centers = shift * reference_sides + (references[..., :2] + 0.5 * reference_sides)
        half_sides = 0.5 * torch.exp(log_scale.clamp(max=self.largest_log_scale)) * reference_sides
        return torch.cat([centers - half_sides, centers + half_sides - self.last_pixel], dim=-1)
