"""Initial weights of a fresh network (OneNet, section 4), every one drawn from the generator that is given."""

from __future__ import annotations

from math import log, sqrt

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from baselines.onenet.modeling.fcos_head import Scale
from baselines.onenet.modeling.fpn import FeaturePyramid
from baselines.onenet.modeling.neck import DeformableConv2d, DeformableStage, PlainStage


def initialise(backbone: nn.Module, head: nn.Module, prior_probability: float, generator: torch.Generator) -> None:
    """Set every parameter and buffer of a network.

    Args:
        backbone: its convolutions are drawn for ReLU, by their fan out; those of a pyramid uniformly.
        head: with the neck; its convolutions are drawn by Xavier's rule, so that the offsets of deformable ones are
            not zero at the start.
        prior_probability: of every class, everywhere.
        generator: source of the numbers.
    """
    pyramid = _pyramid_convolutions(backbone)
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d) and module not in pyramid:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            if module.bias is not None:  # of squeeze and excitation
                nn.init.zeros_(module.bias)
        _reset(module)
    for convolution in pyramid:
        nn.init.kaiming_uniform_(convolution.weight, a=1, generator=generator)
        _zero_bias(convolution)
    for module in head.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, DeformableConv2d)):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            _draw_bias(module, generator)
        _reset(module)
    for module in head.modules():
        if isinstance(module, DeformableStage):
            _zero_bias(module.dcn_offset)
        elif isinstance(module, PlainStage):
            _zero_bias(module.conv)
    classes: nn.Conv2d = head.cls_score  # type: ignore[assignment]
    assert classes.bias is not None
    nn.init.constant_(classes.bias, -log((1 - prior_probability) / prior_probability))


def _pyramid_convolutions(backbone: nn.Module) -> list[nn.Conv2d]:
    if not isinstance(backbone, FeaturePyramid):
        return []
    of_resnet = set(backbone.bottom_up.modules())
    return [module for module in backbone.modules() if isinstance(module, nn.Conv2d) and module not in of_resnet]


def _reset(module: nn.Module) -> None:
    if isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
        module.reset_parameters()
    elif isinstance(module, Scale):
        nn.init.ones_(module.scale)
    elif isinstance(module, FrozenBatchNorm2d):
        for name, buffer in module.named_buffers(recurse=False):
            buffer.fill_(1.0 if name in ("weight", "running_var") else 0.0)


def _draw_bias(module: nn.Module, generator: torch.Generator) -> None:
    """Draw a bias as torch does by default, from the fan in."""
    bias, weight = getattr(module, "bias", None), module.weight
    if isinstance(bias, Tensor) and isinstance(weight, Tensor):
        bound = 1 / sqrt(weight[0].numel())
        nn.init.uniform_(bias, -bound, bound, generator=generator)


def _zero_bias(convolution: nn.Conv2d) -> None:
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
