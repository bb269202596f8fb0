"""RoIAlign as two matrix products, for only those cells of the pooled regions that are looked at.

Pooling by averages of bilinear samples on a grid is a weighted sum over rows, then over columns. Where the network
goes on with every second cell, as bottlenecks with a stride in their first convolution do, the others are not computed.

Legend: R regions, K cells per side that are wanted, S samples per cell and side, H x W cells of the features, C
channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from baselines.coae.modeling.resnet import STRIDE

REGIONS_AT_ONCE = 32
"""What lies between the two products takes K W C numbers per region."""


def pool_regions(features_HWC: Tensor, regions_R4: Tensor, cells: Sequence[int], side: int) -> Tensor:
    """Return pooled regions, R x K x K x C: ``torchvision.ops.roi_align`` (not ``aligned``) at some of the cells.

    Args:
        features_HWC: of one image, with the channels of a cell side by side.
        regions_R4: ``x1, y1, x2, y2`` in pixels.
        cells: the wanted cells, the same along both sides.
        side: cells per side of a whole pooled region.
    """
    height, width, channels = features_HWC.shape
    x1, y1, x2, y2 = (regions_R4 / STRIDE).unbind(dim=1)
    rows_RKH = _weights(y1, y2, cells, side, height)
    columns_RKW = _weights(x1, x2, cells, side, width)
    flat_HX = features_HWC.reshape(height, width * channels)
    pooled = []
    for rows, columns in zip(rows_RKH.split(REGIONS_AT_ONCE), columns_RKW.split(REGIONS_AT_ONCE), strict=True):
        by_row_RKWC = (rows.flatten(0, 1) @ flat_HX).view(len(rows), len(cells), width, channels)
        pooled.append(columns[:, None] @ by_row_RKWC)
    return torch.cat(pooled)


def _weights(start_R: Tensor, stop_R: Tensor, cells: Sequence[int], side: int, length: int) -> Tensor:
    """Return how much every position of the features counts for every wanted cell, R x K x length."""
    extent_R = (stop_R - start_R).clamp(min=1)
    samples_R = (extent_R / side).ceil()
    most = -(-length // side) + 1  # regions lie in the image, whose border may be within the last position
    sample_S = torch.arange(most, device=start_R.device)
    cell_K = torch.tensor(cells, device=start_R.device)
    step_R = extent_R / side
    share_RS = (sample_S + 0.5) / samples_R[:, None]
    position_RKS = start_R[:, None, None] + (cell_K[None, :, None] + share_RS[:, None]) * step_R[:, None, None]
    counts_RKS = (sample_S < samples_R[:, None])[:, None] & (position_RKS >= -1) & (position_RKS <= length)
    position_RKS = position_RKS.clamp(0, length - 1)
    grid = torch.arange(length, device=start_R.device)
    nearness = (1 - (position_RKS[..., None] - grid).abs()).clamp(min=0)  # bilinear
    return (nearness * counts_RKS[..., None]).sum(dim=2) / samples_R[:, None, None]
