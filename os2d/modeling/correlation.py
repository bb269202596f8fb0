"""Correlation of class templates with image features (OS2D, section 4.1).

Shapes: B images, C classes, D channels, K template cells, H W feature map. Cells of a template are counted column by
column, k = x * T + y for a template of T x T cells: the order the TransformNet of weakalign was trained with.
"""

from __future__ import annotations

import torch
from torch import Tensor

NORM_EPSILON = 1e-5


def normalise(features: Tensor, epsilon: float = NORM_EPSILON) -> Tensor:
    """Return the features (N, D, ...) divided by their length over D, to which ``epsilon`` is added."""
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + epsilon)


def correlate(images_BDHW: Tensor, templates_CDTT: Tensor) -> Tensor:
    """Return the similarity of every template cell with every image cell, (B * C) x K x H x W, image by image.

    Both arguments are normalised over D, so values lie in [-1, 1].
    """
    num_images, _, height, width = images_BDHW.shape
    num_classes, num_channels, grid, _ = templates_CDTT.shape
    cells = templates_CDTT.permute(0, 3, 2, 1).reshape(num_classes * grid * grid, num_channels)
    volume = torch.matmul(cells, images_BDHW.flatten(2))
    return volume.view(num_images * num_classes, grid * grid, height, width)
