"""Correlation of class templates with image features (OS2D, section 4.1).

Shapes: B images, C classes, D channels, K template cells, H W feature map. Cells of a template are counted column by
column, k = x * T + y for a template of T x T cells: the order the TransformNet of weakalign was trained with.
"""

from __future__ import annotations

import torch
from torch import Tensor

NORM_EPSILON = 1e-5


def normalise(features: Tensor, epsilon: float = NORM_EPSILON) -> Tensor:
    """Return the features (N, D, ...) divided by their length over D, to which ``epsilon`` is added.

    The length needs more digits than the formats of low precision have: it is float32 at least, and so is the result.
    """
    format = torch.promote_types(features.dtype, torch.float32)
    length: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True, dtype=format)
    return features / (length + epsilon)


def correlate(images_BDHW: Tensor, templates_CDTT: Tensor) -> Tensor:
    """Return the similarity of every template cell with every image cell, (B * C) x K x H x W, image by image.

    Both arguments are normalised over D, so values lie in [-1, 1].
    """
    num_images, _, height, width = images_BDHW.shape
    num_classes, num_channels, grid, _ = templates_CDTT.shape
    cells = templates_CDTT.permute(0, 3, 2, 1).reshape(num_classes * grid * grid, num_channels)
    volume = torch.matmul(cells, images_BDHW.flatten(2))
    return volume.view(num_images * num_classes, grid * grid, height, width)


def correlate_cells_last(images_BDHW: Tensor, templates_CDTT: Tensor) -> Tensor:
    """Return what ``correlate`` does, B x C x H x W x K, the cells of a position side by side in memory.

    One product serves all classes; the classes of a position follow each other, so the result is a view.
    """
    height, width = images_BDHW.shape[2:]
    num_classes, num_channels, grid, _ = templates_CDTT.shape
    cells = templates_CDTT.permute(0, 3, 2, 1).reshape(num_classes * grid * grid, num_channels)
    volume_BPX = torch.matmul(images_BDHW.flatten(2).transpose(1, 2), cells.T)
    volume_BHWCK: Tensor = volume_BPX.unflatten(1, (height, width)).unflatten(-1, (num_classes, -1))
    return volume_BHWCK.permute(0, 3, 1, 2, 4)
