"""Convolutions with their norms folded in, for a network that does not learn at the moment."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from baselines.onenet.modeling.convolution import NormedConv2d
from baselines.onenet.modeling.neck import DeformableConv2d

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, DeformableConv2d)
NORMS = (nn.BatchNorm2d, FrozenBatchNorm2d)


class _Pair(NamedTuple):
    convolution: nn.Conv2d | nn.ConvTranspose2d | DeformableConv2d
    parent: nn.Module
    norm_name: str
    norm: nn.BatchNorm2d | FrozenBatchNorm2d


def fold_norms(network: nn.Module) -> None:
    """Give every convolution the work of the norm behind it, by the stored statistics; in place."""
    for convolution, parent, norm_name, norm in list(_pairs(network)):
        scale, shift = _scale_and_shift(norm)
        output_dimension = 1 if isinstance(convolution, nn.ConvTranspose2d) else 0
        shape = [1] * 4
        shape[output_dimension] = -1
        weight = convolution.weight.detach()
        bias = 0 if convolution.bias is None else convolution.bias.detach() * scale
        convolution.weight = nn.Parameter(weight * scale.view(shape), requires_grad=False)
        convolution.bias = nn.Parameter(bias + shift, requires_grad=False)
        setattr(parent, norm_name, nn.Identity())


def _pairs(network: nn.Module) -> Iterator[_Pair]:
    """Yield each convolution with the norm behind it: its own, or the module registered next to it."""
    for parent in network.modules():
        if isinstance(parent, NormedConv2d) and isinstance(parent.norm, NORMS):
            yield _Pair(parent, parent, "norm", parent.norm)
        for (_, first), (name, second) in pairwise(parent.named_children()):
            if isinstance(first, CONVOLUTIONS) and isinstance(second, NORMS):
                yield _Pair(first, parent, name, second)


def _scale_and_shift(norm: nn.BatchNorm2d | FrozenBatchNorm2d) -> tuple[Tensor, Tensor]:
    mean, variance = norm.running_mean, norm.running_var
    assert isinstance(mean, Tensor)
    assert isinstance(variance, Tensor)
    scale = norm.weight.detach() * torch.rsqrt(variance + norm.eps)
    return scale, norm.bias.detach() - mean * scale
