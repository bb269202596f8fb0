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
    volume_BPHW = _similarity(images_BDHW, templates_CDTT)
    volume_BCKHW: Tensor = volume_BPHW.unflatten(1, (len(templates_CDTT), -1))
    return volume_BCKHW.flatten(0, 1)


def correlate_cells_last(images_BDHW: Tensor, templates_CDTT: Tensor) -> Tensor:
    """Return what ``correlate`` does, B x C x H x W x K, the cells of a position side by side in memory.

    One product serves all classes; the classes of a position follow each other, so the result is a view.
    """
    volume_BPHW = _similarity(images_BDHW.contiguous(memory_format=torch.channels_last), templates_CDTT)
    volume_BHWCK: Tensor = volume_BPHW.permute(0, 2, 3, 1).unflatten(-1, (len(templates_CDTT), -1))
    return volume_BHWCK.permute(0, 3, 1, 2, 4)


def _similarity(images_BDHW: Tensor, templates_CDTT: Tensor) -> Tensor:
    """Return the similarities, B x P x H x W with P = C * K, laid out in memory as the images are.

    On a CPU the product is a convolution of 1 x 1: these come from a library that knows the processors of all makers,
    whereas that of torch's matrix products is half as fast on some. On a GPU convolutions may round to TF32.
    """
    num_channels = templates_CDTT.shape[1]
    cells_PD = templates_CDTT.permute(0, 3, 2, 1).reshape(-1, num_channels)
    if images_BDHW.device.type == "cpu":
        return torch.conv2d(images_BDHW, cells_PD[:, :, None, None])
    volume_BXP = torch.matmul(images_BDHW.flatten(2).transpose(1, 2), cells_PD.T)
    volume_BHWP: Tensor = volume_BXP.unflatten(1, images_BDHW.shape[2:])
    return volume_BHWP.permute(0, 3, 1, 2)
