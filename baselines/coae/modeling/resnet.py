"""The ResNet of CoAE, cut in two: a base for images and queries (stride 16), and a top for regions.

It differs from torchvision's in two places, so weights fit but numbers do not: a bottleneck halves the image in its
first 1 x 1 convolution, and the pooling of the stem is not padded and rounds sizes up.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Generator, nn
from torchvision.models import ResNet
from torchvision.models.resnet import Bottleneck

from os2d.choices import choose
from os2d.modeling.backbone import ARCHITECTURES

NETS: Mapping[str, str] = {"res18": "ResNet18", "res34": "ResNet34", "res50": "ResNet50", "res101": "ResNet101"}
"""Name in the configuration -> architecture."""

STRIDE = 16
"""Pixels per cell of the feature map."""

BASE_PARTS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
"""torchvision's names of the parts of the base, whose published names are their positions here."""

TOP_PARTS = ("layer4",)


class SplitResNet(NamedTuple):
    """The two halves of the network.

    Args:
        base: images (B, 3, h, w) to features (B, C, H, W).
        top: features of regions (R, C, y, x) to (R, D, y / 2, x / 2).
        channels: C.
        top_channels: D.
    """

    base: nn.Sequential
    top: nn.Sequential
    channels: int
    top_channels: int


def build_resnet(net: str, group_norm: bool, generator: Generator | None = None) -> SplitResNet:
    """Return a randomly initialised network.

    Args:
        net: a key of ``NETS``.
        group_norm: GroupNorm with 32 groups instead of BatchNorm, for networks that start from random weights.
        generator: source of the initial weights; None is torch's global one.

    Raises:
        ConfigError: for an unknown network.
    """
    block, blocks_per_stage = ARCHITECTURES[choose("model.net", net, NETS)]
    norm_layer = partial(nn.GroupNorm, 32) if group_norm else nn.BatchNorm2d
    with torch.device("meta"):  # allocates and draws nothing: the classifier is thrown away
        resnet = ResNet(block, blocks_per_stage, norm_layer=norm_layer)
    for stage in (resnet.layer2, resnet.layer3, resnet.layer4):
        first = stage[0]
        if isinstance(first, Bottleneck):
            first.conv1.stride, first.conv2.stride = (2, 2), (1, 1)
    resnet.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=0, ceil_mode=True)
    base = nn.Sequential(*(getattr(resnet, name) for name in BASE_PARTS)).to_empty(device="cpu")
    top = nn.Sequential(*(getattr(resnet, name) for name in TOP_PARTS)).to_empty(device="cpu")
    for module in (*base.modules(), *top.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            module.reset_parameters()
    return SplitResNet(base, top, 256 * block.expansion, 512 * block.expansion)
