"""The backbone: a ResNet without its last stages (OS2D, section 4.1)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models import ResNet
from torchvision.models.resnet import BasicBlock, Bottleneck

from os2d.choices import choose
from os2d.modeling.folding import fold_norms, uses_batch_statistics
from os2d.modeling.weight_cache import WeightCache
from os2d.structures.sizes import Size


class _Architecture(NamedTuple):
    block: type[BasicBlock] | type[Bottleneck]
    blocks_per_stage: list[int]


class _Cut(NamedTuple):
    """What is kept up to a stage: its stride, and its width before the expansion of the blocks."""

    stages: tuple[str, ...]
    stride: int
    width: int


ARCHITECTURES: Mapping[str, _Architecture] = {
    "ResNet18": _Architecture(BasicBlock, [2, 2, 2, 2]),
    "ResNet34": _Architecture(BasicBlock, [3, 4, 6, 3]),
    "ResNet50": _Architecture(Bottleneck, [3, 4, 6, 3]),
    "ResNet101": _Architecture(Bottleneck, [3, 4, 23, 3]),
}

CUTS: Mapping[str, _Cut] = {
    "layer1": _Cut(("layer1",), stride=4, width=64),
    "layer2": _Cut(("layer1", "layer2"), stride=8, width=128),
    "layer3": _Cut(("layer1", "layer2", "layer3"), stride=16, width=256),
}

STEM = ("conv1", "bn1", "relu", "maxpool")


class Backbone(nn.Sequential):
    """The first stages of a ResNet: images (B, 3, h, w) to features (B, D, H, W).

    Attributes:
        stride: pixels per cell of the feature map.
        out_channels: D.
        channels_last: compute, and return the features, with the channels of a cell side by side in memory.
    """

    def __init__(self, children: Mapping[str, nn.Module], stride: int, out_channels: int) -> None:
        super().__init__(OrderedDict(children))
        self.stride = stride
        self.out_channels = out_channels
        self.channels_last = False
        self._compiles = False
        self._without_norms: WeightCache[nn.Sequential] = WeightCache()

    def forward(self, images_B3HW: Tensor) -> Tensor:
        """Return the features; while nothing learns, with every BatchNorm folded into its convolution."""
        if self.channels_last:
            images_B3HW = images_B3HW.contiguous(memory_format=torch.channels_last)
        if torch.is_grad_enabled() or not self._has_fixed_norms():
            features_BDHW: Tensor = super().forward(images_B3HW)  # type: ignore[no-untyped-call]  # torch's
        else:
            sources = [*self.parameters(), *self.buffers()]
            features_BDHW = self._without_norms.get(sources, self._fold_norms)(images_B3HW)
        return features_BDHW

    def compile_stages(self) -> None:
        """Let torch.compile make programs of the stages; the names of the weights stay as they are.

        Copies of the backbone are not compiled.
        """
        self._compiles = True
        for name, child in self.named_children():
            if name not in STEM:
                child.compile()

    def feature_map_size(self, image_size: Size) -> Size:
        """Return the size of the feature map of an image: every halving rounds up."""
        return image_size.in_cells(self.stride)

    def blocks(self) -> list[nn.Module]:
        """Return the blocks that can be frozen one by one: the stem (conv1, bn1), then every residual block."""
        children = dict(self.named_children())
        stem = nn.Sequential(children["conv1"], children["bn1"])
        stages = [stage for name, stage in children.items() if name not in STEM]
        return [stem, *(block for stage in stages for block in stage.children())]

    def freeze_blocks(self, count: int) -> None:
        """Exclude the parameters of the first ``count`` blocks from training."""
        for block in self.blocks()[:count]:
            block.requires_grad_(False)

    def freeze_bn(self) -> None:
        """Let BatchNorm use its stored statistics until the next call of ``train``; its weights still learn."""
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def uses_batch_statistics(self) -> bool:
        """Tell whether the output for an image depends on the other images of the batch."""
        return uses_batch_statistics(self)

    def _has_fixed_norms(self) -> bool:
        norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        return bool(norms) and not any(norm.training for norm in norms)

    def _fold_norms(self, last: nn.Sequential | None) -> nn.Sequential:
        """Return this network without BatchNorm; in the place of ``last``, so that its compiled program stays good."""
        network = nn.Sequential(OrderedDict((name, deepcopy(child)) for name, child in self.named_children()))
        fold_norms(network)
        network.requires_grad_(False)
        network.to(memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)
        if last is not None and _placement(last) == _placement(network):
            last.load_state_dict(network.state_dict())
            return last
        if self._compiles:
            network.compile()
        return network


def _placement(network: nn.Module) -> tuple[torch.device, torch.dtype, tuple[int, ...]]:
    weight = next(network.parameters())
    return weight.device, weight.dtype, weight.stride()


def build_backbone(
    arch: str, group_norm: bool, cut: str = "layer3", generator: torch.Generator | None = None
) -> Backbone:
    """Return a randomly initialised backbone.

    Args:
        arch: a key of ``ARCHITECTURES``; case does not matter.
        group_norm: GroupNorm with 32 groups instead of BatchNorm.
        cut: the last stage kept, a key of ``CUTS``.
        generator: source of the initial weights; None is torch's global one.

    Raises:
        ConfigError: for an unknown architecture or cut.
    """
    architecture = choose("model.backbone_arch", arch, ARCHITECTURES)
    kept = choose("model.backbone_cut", cut, CUTS)
    norm_layer = partial(nn.GroupNorm, 32) if group_norm else nn.BatchNorm2d
    with torch.device("meta"):  # allocates and draws nothing: most of the network is thrown away
        resnet = ResNet(architecture.block, architecture.blocks_per_stage, norm_layer=norm_layer)
    children = {name: getattr(resnet, name) for name in STEM + kept.stages}
    backbone = Backbone(children, kept.stride, kept.width * architecture.block.expansion).to_empty(device="cpu")
    _initialise(backbone, generator)
    return backbone


def _initialise(backbone: Backbone, generator: torch.Generator | None) -> None:
    """Set every parameter and buffer the way torchvision does."""
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
            module.reset_parameters()
