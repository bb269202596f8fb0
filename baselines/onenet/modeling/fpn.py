"""A feature pyramid of five levels on a ResNet, for the heads of FCOS and RetinaNet (arXiv 1612.03144)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import interpolate, relu
from yacs.config import CfgNode

from baselines.onenet.modeling.backbone import ResNet, build_resnet

LEVELS = ("p3", "p4", "p5", "p6", "p7")


class CoarseLevels(nn.Module):
    """Two levels below the coarsest feature: each halves the one before."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.p6 = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(out_channels, out_channels, 3, stride=2, padding=1)

    def forward(self, c5: Tensor) -> tuple[Tensor, Tensor]:
        """Return p6 and p7."""
        p6 = self.p6(c5)
        return p6, self.p7(relu(p6))


class FeaturePyramid(nn.Module):
    """Images (B, 3, H, W) to levels p3 ... p7 of the same channels, an 8th to a 128th of the image's size."""

    def __init__(self, bottom_up: ResNet, in_features: Sequence[str], out_channels: int) -> None:
        super().__init__()
        self.in_features = tuple(in_features)
        for name in self.in_features:
            number = name.removeprefix("res")
            self.add_module(f"fpn_lateral{number}", nn.Conv2d(bottom_up.channels[name], out_channels, 1))
            self.add_module(f"fpn_output{number}", nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.top_block = CoarseLevels(bottom_up.channels[self.in_features[-1]], out_channels)
        self.bottom_up = bottom_up
        self.channels = dict.fromkeys(LEVELS, out_channels)

    def forward(self, images_B3HW: Tensor) -> dict[str, Tensor]:
        """Return name -> level, finest first."""
        features = self.bottom_up(images_B3HW)
        levels: list[Tensor] = []
        coarser: Tensor | None = None
        for name in reversed(self.in_features):
            number = name.removeprefix("res")
            merged = getattr(self, f"fpn_lateral{number}")(features[name])
            if coarser is not None:
                merged = merged + interpolate(coarser, scale_factor=2.0, mode="nearest")
            levels.insert(0, getattr(self, f"fpn_output{number}")(merged))
            coarser = merged
        levels.extend(self.top_block(features[self.in_features[-1]]))
        return dict(zip(LEVELS, levels, strict=True))


def build_fpn(config: CfgNode) -> FeaturePyramid:
    """Return the pyramid that ``MODEL.FPN`` describes on the configured ResNet; its weights are not set yet."""
    return FeaturePyramid(build_resnet(config), config.MODEL.FPN.IN_FEATURES, config.MODEL.FPN.OUT_CHANNELS)
