"""The backbone: a ResNet whose stages res2 to res5 all feed the detector (OneNet, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu
from yacs.config import CfgNode

from baselines.onenet.modeling.convolution import NormedConv2d
from os2d.choices import choose

STEM_CHANNELS = 64
STRIDES: Mapping[str, int] = {"res2": 4, "res3": 8, "res4": 16, "res5": 32}


class _Architecture(NamedTuple):
    blocks_per_stage: tuple[int, int, int, int]
    has_bottlenecks: bool


ARCHITECTURES: Mapping[int, _Architecture] = {
    18: _Architecture((2, 2, 2, 2), False),
    34: _Architecture((3, 4, 6, 3), False),
    50: _Architecture((3, 4, 6, 3), True),
    101: _Architecture((3, 4, 23, 3), True),
    152: _Architecture((3, 8, 36, 3), True),
}


class Stem(nn.Module):
    """7 x 7 convolution, then the largest of 3 x 3: a quarter of the image's size."""

    def __init__(self, norm: str) -> None:
        super().__init__()
        self.conv1 = NormedConv2d(3, STEM_CHANNELS, 7, 2, norm)

    def forward(self, images_B3HW: Tensor) -> Tensor:
        """Return (B, 64, H / 4, W / 4)."""
        return max_pool2d(relu(self.conv1(images_B3HW)), kernel_size=3, stride=2, padding=1)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions, added to their input."""

    def __init__(self, in_channels: int, width: int, stride: int, norm: str) -> None:
        super().__init__()
        self.shortcut = _shortcut(in_channels, width, stride, norm)
        self.conv1 = NormedConv2d(in_channels, width, 3, stride, norm)
        self.conv2 = NormedConv2d(width, width, 3, 1, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, H / stride, W / stride)."""
        return relu(self.conv2(relu(self.conv1(x))) + self.shortcut(x))


class Bottleneck(nn.Module):
    """A 3 x 3 convolution between two 1 x 1, added to their input."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, norm: str, stride_in_1x1: bool) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        out_channels = width * self.expansion
        self.shortcut = _shortcut(in_channels, out_channels, stride, norm)
        self.conv1 = NormedConv2d(in_channels, width, 1, first, norm)
        self.conv2 = NormedConv2d(width, width, 3, second, norm)
        self.conv3 = NormedConv2d(width, out_channels, 1, 1, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 4 * width, H / stride, W / stride)."""
        return relu(self.conv3(relu(self.conv2(relu(self.conv1(x))))) + self.shortcut(x))


class ResNet(nn.Module):
    """A ResNet without its classifier: images (B, 3, H, W) to the features of the wanted stages.

    Stages behind the last wanted one do not exist.

    Attributes:
        channels: name of a returned feature -> its channels.
    """

    def __init__(
        self, depth: int, out_features: Sequence[str], norm: str, stride_in_1x1: bool = False, freeze_at: int = 0
    ) -> None:
        super().__init__()
        blocks_per_stage, has_bottlenecks = ARCHITECTURES[depth]
        self.out_features = tuple(out_features)
        self.stem = Stem(norm)
        channels, widths = STEM_CHANNELS, dict(zip(STRIDES, (64, 128, 256, 512), strict=True))
        self.channels: dict[str, int] = {}
        self._stages = list(STRIDES)[: max(map(list(STRIDES).index, out_features)) + 1]
        for name, count in zip(self._stages, blocks_per_stage, strict=False):
            blocks: list[nn.Module] = []
            for number in range(count):
                stride = 2 if number == 0 and name != "res2" else 1
                if has_bottlenecks:
                    blocks.append(Bottleneck(channels, widths[name], stride, norm, stride_in_1x1))
                    channels = widths[name] * Bottleneck.expansion
                else:
                    blocks.append(BasicBlock(channels, widths[name], stride, norm))
                    channels = widths[name]
            self.add_module(name, nn.Sequential(*blocks))
            if name in out_features:
                self.channels[name] = channels
        for name in ("stem", *self._stages)[:freeze_at]:
            getattr(self, name).requires_grad_(False)

    def forward(self, images_B3HW: Tensor) -> dict[str, Tensor]:
        """Return name -> feature map, a 4th (res2) to a 32nd (res5) of the image's size."""
        features = {}
        x = self.stem(images_B3HW)
        for name in self._stages:
            x = getattr(self, name)(x)
            if name in self.channels:
                features[name] = x
        return features


def build_resnet(config: CfgNode) -> ResNet:
    """Return the ResNet that ``MODEL.RESNETS`` describes; its weights are not set yet."""
    resnets = config.MODEL.RESNETS
    choose("MODEL.RESNETS.DEPTH", str(resnets.DEPTH), {str(depth): depth for depth in ARCHITECTURES})
    return ResNet(
        resnets.DEPTH,
        resnets.OUT_FEATURES,
        resnets.NORM,
        stride_in_1x1=resnets.STRIDE_IN_1X1,
        freeze_at=config.MODEL.BACKBONE.FREEZE_AT,
    )


def _shortcut(in_channels: int, out_channels: int, stride: int, norm: str) -> nn.Module:
    """Return the projection of a block's input, which exists only where the number of channels changes."""
    return nn.Identity() if in_channels == out_channels else NormedConv2d(in_channels, out_channels, 1, stride, norm)
