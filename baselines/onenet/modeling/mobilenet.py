"""MobileNets as backbones: torchvision's, read out at the strides that a ResNet has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor, nn
from torchvision.models import mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from torchvision.ops import FrozenBatchNorm2d
from yacs.config import CfgNode

from baselines.onenet.modeling.convolution import NORMS
from os2d.choices import choose


class _Network(NamedTuple):
    build: Callable[..., nn.Module]
    last_blocks: Mapping[str, int]
    """Feature -> index of the last block of its stride."""
    channels: Mapping[str, int]


NETWORKS: Mapping[str, _Network] = {
    "mobilenet_v2": _Network(
        mobilenet_v2,
        {"res2": 3, "res3": 6, "res4": 13, "res5": 17},
        {"res2": 24, "res3": 32, "res4": 96, "res5": 320},
    ),
    "mobilenet_v3_large": _Network(
        mobilenet_v3_large,
        {"res2": 3, "res3": 6, "res4": 12, "res5": 15},
        {"res2": 24, "res3": 40, "res4": 112, "res5": 160},
    ),
    "mobilenet_v3_small": _Network(
        mobilenet_v3_small,
        {"res2": 1, "res3": 3, "res4": 8, "res5": 11},
        {"res2": 16, "res3": 24, "res4": 48, "res5": 96},
    ),
}


class MobileNet(nn.Module):
    """A MobileNet without its classifier: images (B, 3, H, W) to features named as those of a ResNet.

    The convolution behind the last block, which only widens it for the classifier, is left out too.

    Attributes:
        channels: name of a returned feature -> its channels.
    """

    def __init__(self, name: str, norm: str, freeze_at: int) -> None:
        super().__init__()
        network = NETWORKS[name]
        self.channels = dict(network.channels)
        self._read_at = {index: feature for feature, index in network.last_blocks.items()}
        blocks = list(network.build(weights=None).features.children())  # type: ignore[union-attr]
        self.features = nn.Sequential(*blocks[: network.last_blocks["res5"] + 1])
        if choose("MODEL.MOBILENET.NORM", norm, NORMS) is FrozenBatchNorm2d:
            _freeze_norms(self.features)
        if freeze_at:
            last = 0 if freeze_at == 1 else list(network.last_blocks.values())[freeze_at - 2]
            self.features[: last + 1].requires_grad_(False)

    def forward(self, images_B3HW: Tensor) -> dict[str, Tensor]:
        """Return name -> feature map, a 4th (res2) to a 32nd (res5) of the image's size."""
        features = {}
        x = images_B3HW
        for index, block in enumerate(self.features):
            x = block(x)
            if index in self._read_at:
                features[self._read_at[index]] = x
        return features


def build_mobilenet(config: CfgNode) -> MobileNet:
    """Return the network that ``MODEL.MOBILENET`` describes; its weights are not set yet."""
    mobilenet = config.MODEL.MOBILENET
    choose("MODEL.MOBILENET.NAME", mobilenet.NAME, NETWORKS)
    return MobileNet(mobilenet.NAME.lower(), mobilenet.NORM, config.MODEL.BACKBONE.FREEZE_AT)


def _freeze_norms(module: nn.Module) -> None:
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, FrozenBatchNorm2d(child.num_features, child.eps))
