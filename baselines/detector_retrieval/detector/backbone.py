"""The ResNet body and the feature pyramid on top of it.

Shapes: B images, D channels of every level.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import ResNet
from torchvision.models.resnet import Bottleneck
from torchvision.ops import FrozenBatchNorm2d
from yacs.config import CfgNode

from os2d.choices import choose
from os2d.modeling.backbone import ARCHITECTURES

BODIES = {
    "R-18-FPN": "ResNet18",
    "R-34-FPN": "ResNet34",
    "R-50-FPN": "ResNet50",
    "R-101-FPN": "ResNet101",
}
"""``MODEL.BACKBONE.CONV_BODY`` -> architecture."""

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "FrozenBN": partial(FrozenBatchNorm2d, eps=0.0),  # the Caffe2 weights have the small constant in their variances
    "GN": partial(nn.GroupNorm, 32),
}

STAGES = ("layer1", "layer2", "layer3", "layer4")


class Stem(nn.Module):
    """The first convolution: images to features of stride 4."""

    def __init__(self, conv1: nn.Module, bn1: nn.Module) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv1, bn1

    def forward(self, images_B3HW: Tensor) -> Tensor:
        """Return (B, 64, H / 4, W / 4)."""
        return functional.max_pool2d(
            functional.relu(self.bn1(self.conv1(images_B3HW))), kernel_size=3, stride=2, padding=1
        )


class Body(nn.Module):
    """A ResNet without its classifier, which gives the features of every stage."""

    def __init__(self, architecture: str, norm: str, stride_in_1x1: bool) -> None:
        super().__init__()
        block, blocks_per_stage = ARCHITECTURES[architecture]
        with torch.device("meta"):  # allocates and draws nothing; whoever builds the detector sets the weights
            resnet = ResNet(block, blocks_per_stage, norm_layer=choose("MODEL.RESNETS.NORM", norm, NORMS))
        self.stem = Stem(resnet.conv1, resnet.bn1)
        for name in STAGES:
            self.add_module(name, getattr(resnet, name))
        self.channels = [width * block.expansion for width in (64, 128, 256, 512)]
        if stride_in_1x1:
            _move_strides(self)

    def forward(self, images_B3HW: Tensor) -> list[Tensor]:
        """Return the features of the four stages, strides 4, 8, 16 and 32."""
        features = [self.stem(images_B3HW)]
        for name in STAGES:
            features.append(self.get_submodule(name)(features[-1]))
        return features[1:]

    def freeze(self, stages: int) -> None:
        """Exclude the first stages, counted with the stem, from training."""
        for part in list(self.children())[:stages]:
            part.requires_grad_(False)


class FeaturePyramid(nn.Module):
    """Brings the stages to D channels and adds to each what the coarser ones see."""

    def __init__(self, in_channels: list[int], out_channels: int) -> None:
        super().__init__()
        for number, channels in enumerate(in_channels, start=1):
            self.add_module(f"fpn_inner{number}", nn.Conv2d(channels, out_channels, kernel_size=1))
            self.add_module(f"fpn_layer{number}", nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1))
        self.levels = len(in_channels)

    def forward(self, stages: list[Tensor]) -> list[Tensor]:
        """Return one level per stage, and one more with every second cell of the last, for large proposals only."""
        inner = self._part("inner", self.levels)(stages[-1])
        outputs = [self._part("layer", self.levels)(inner)]
        for number in range(self.levels - 1, 0, -1):
            inner = self._part("inner", number)(stages[number - 1]) + functional.interpolate(inner, scale_factor=2.0)
            outputs.insert(0, self._part("layer", number)(inner))
        return [*outputs, outputs[-1][..., ::2, ::2]]

    def _part(self, kind: str, number: int) -> nn.Module:
        return self.get_submodule(f"fpn_{kind}{number}")


class Backbone(nn.Module):
    """Body and pyramid: images (B, 3, H, W), sides multiples of 32, to five levels (B, D, H / stride, W / stride)."""

    def __init__(self, model: CfgNode) -> None:
        super().__init__()
        architecture = choose("MODEL.BACKBONE.CONV_BODY", model.BACKBONE.CONV_BODY, BODIES)
        self.body = Body(architecture, model.RESNETS.NORM, model.RESNETS.STRIDE_IN_1X1)
        self.body.freeze(model.BACKBONE.FREEZE_CONV_BODY_AT)
        with torch.device("meta"):
            self.fpn = FeaturePyramid(self.body.channels, model.RESNETS.BACKBONE_OUT_CHANNELS)

    def forward(self, images_B3HW: Tensor) -> list[Tensor]:
        """Return the levels, the finest first."""
        levels: list[Tensor] = self.fpn(self.body(images_B3HW))
        return levels


def _move_strides(body: Body) -> None:
    """Halve the image in the first convolution of a bottleneck: so were the Caffe2 weights trained."""
    for name in STAGES[1:]:
        first = next(body.get_submodule(name).children())
        if isinstance(first, Bottleneck):
            first.conv1.stride, first.conv2.stride = first.conv2.stride, first.conv1.stride
