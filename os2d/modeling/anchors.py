"""Anchors: one square box per feature-map cell, boxes expressed relative to it, and image crops around it.

Shapes: A anchors, row by row over the feature map.
"""

from __future__ import annotations

from functools import lru_cache
from math import log

import torch
from torch import Tensor

from os2d.structures.sizes import Size

CODE_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Factors of the shift and log-size codes, as in Faster R-CNN."""

LARGEST_LOG_SCALE = log(1000 / 16)
"""Decoded sizes stop growing here, so that an untrained network cannot overflow."""


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # or a first call from inference would leave a tensor that training may not use
def anchor_boxes(fm_size: Size, side: float, stride: int, device: torch.device) -> Tensor:
    """Return the anchors of a feature map, A x 4: squares centred on the cells, not cut at the image border.

    The tensor is shared between callers; do not change it.
    """
    center_x = (torch.arange(fm_size.w, device=device, dtype=torch.float32) + 0.5) * stride
    center_y = (torch.arange(fm_size.h, device=device, dtype=torch.float32) + 0.5) * stride
    y_HW, x_HW = torch.meshgrid(center_y, center_x, indexing="ij")
    centers = torch.stack([x_HW.flatten(), y_HW.flatten()], dim=1)
    return torch.cat([centers - side / 2, centers + side / 2], dim=1)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return the codes (..., 4) of boxes relative to anchors: shifts over the anchor size, logs of the size ratios.

    >>> anchor = torch.tensor([0.0, 0.0, 100.0, 100.0])
    >>> codes = encode_boxes(torch.tensor([10.0, 0.0, 110.0, 100.0]), anchor)
    >>> codes
    tensor([1., 0., 0., 0.])
    >>> decode_boxes(codes, anchor)
    tensor([ 10.,   0., 110., 100.])
    """
    box_center, box_size = _center_and_size(boxes)
    anchor_center, anchor_size = _center_and_size(anchors)
    codes = torch.cat([(box_center - anchor_center) / anchor_size, torch.log(box_size / anchor_size)], dim=-1)
    return codes * codes.new_tensor(CODE_WEIGHTS)


def decode_boxes(codes: Tensor, anchors: Tensor) -> Tensor:
    """Return the boxes (..., 4) that the codes (..., 4) describe; the inverse of :func:`encode_boxes`."""
    shift, log_scale = (codes / codes.new_tensor(CODE_WEIGHTS)).split(2, dim=-1)
    anchor_center, anchor_size = _center_and_size(anchors)
    center = anchor_center + shift * anchor_size
    half_size = torch.exp(log_scale.clamp(max=LARGEST_LOG_SCALE)) * anchor_size / 2
    return torch.cat([center - half_size, center + half_size], dim=-1)


def _center_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    top_left, bottom_right = boxes.split(2, dim=-1)
    size = bottom_right - top_left
    return top_left + size / 2, size


def crops_around_anchors(anchors_A4: Tensor, image_size: Size, crop_size: Size, stride: int) -> Tensor:
    """Return the crop of an image around each anchor, A x 4, shifted by whole cells to stay inside the image.

    A crop starts at a multiple of the stride, so that its feature map is cut from the one of the image. An image
    smaller than the crop is exceeded to the right and below.
    """
    center_x, center_y = _center_and_size(anchors_A4)[0].unbind(-1)
    left = _window_starts(center_x, image_size.w, crop_size.w, stride)
    top = _window_starts(center_y, image_size.h, crop_size.h, stride)
    return torch.stack([left, top, left + crop_size.w, top + crop_size.h], dim=-1)


def _window_starts(centers: Tensor, length: int, window: int, stride: int) -> Tensor:
    starts = torch.floor(centers - window / 2).clamp(min=0).div(stride, rounding_mode="floor") * stride
    overhang = torch.floor(starts + window - length).clamp(min=0)
    return (starts - torch.ceil(overhang / stride) * stride).clamp(min=0)
