"""Convolutions with their normalisation folded in, for networks that do not learn at the moment."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Folded(NamedTuple):
    """A convolution and the BatchNorm after it as one convolution: weight O x C x k x k, bias O."""

    weight: Tensor
    bias: Tensor


def fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d | None) -> Folded:
    """Return the convolution that does the work of both, by the stored statistics."""
    weight = convolution.weight.detach()
    bias = weight.new_zeros(len(weight)) if convolution.bias is None else convolution.bias.detach()
    if norm is None:
        return Folded(weight, bias)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
    shift = norm.bias.detach() - norm.running_mean * scale
    return Folded(weight * scale[:, None, None, None], bias * scale + shift)


def norms_of_convolutions(module: nn.Module) -> list[tuple[nn.Conv2d, nn.Module, str, nn.BatchNorm2d]]:
    """Return each convolution with the BatchNorm after it, the module both belong to, and the norm's name in that.

    In the networks of this package, the norm of a convolution is registered right after it.
    """
    pairs = []
    for parent in module.modules():
        children = list(parent.named_children())
        for (_, first), (name, second) in pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                pairs.append((first, parent, name, second))
    return pairs


def fold_norms(network: nn.Module) -> None:
    """Give every convolution the work of the BatchNorm after it, by the stored statistics; in place."""
    for convolution, parent, name, norm in norms_of_convolutions(network):
        weight, bias = fold(convolution, norm)
        convolution.weight = nn.Parameter(weight, requires_grad=False)
        convolution.bias = nn.Parameter(bias, requires_grad=False)
        setattr(parent, name, nn.Identity())


def uses_batch_statistics(module: nn.Module) -> bool:
    """Tell whether the output for an image depends on the other images of the batch."""
    return any(isinstance(part, nn.BatchNorm2d) and part.training for part in module.modules())
