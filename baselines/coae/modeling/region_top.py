"""The last stage of the ResNet on pooled regions, as matrix products.

Where a bottleneck halves a region of 7 x 7 cells, the rest of the stage sees 4 x 4. That is one of Winograd's tiles.

Legend: S = 16 cells of a region, R regions, C and D channels before and after.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from baselines.pointwise import pointwise
from baselines.winograd import SIDE, Winograd


class RegionTop:
    """A stage of bottlenecks without norms, all of stride 1, for regions of 4 x 4 cells; it does not learn."""

    def __init__(self, stage: nn.Sequential) -> None:
        self.blocks = [_Block(block) for block in stage if isinstance(block, Bottleneck)]

    @staticmethod
    def fits(stage: nn.Sequential) -> bool:
        """Return whether the stage is one of bottlenecks whose norms are folded."""
        return all(isinstance(block, Bottleneck) and isinstance(block.bn1, nn.Identity) for block in stage)

    def __call__(self, regions_RKKC: Tensor) -> Tensor:
        """Return the mean of the features over the cells of every region, R x D."""
        cells_SRC = regions_RKKC.flatten(1, 2).transpose(0, 1).contiguous()
        for block in self.blocks:
            cells_SRC = block(cells_SRC)
        return cells_SRC.mean(dim=0)


class _Block:
    """One bottleneck."""

    def __init__(self, block: Bottleneck) -> None:
        self.first, self.last = _pointwise(block.conv1), _pointwise(block.conv3)
        self.middle = _Tile(block.conv2)
        self.shortcut = None if block.downsample is None else _pointwise(block.downsample[0])

    def __call__(self, cells_SRC: Tensor) -> Tensor:
        hidden = self.middle(pointwise(cells_SRC, *self.first).relu_()).relu_()
        shortcut = cells_SRC if self.shortcut is None else pointwise(cells_SRC, *self.shortcut)
        return pointwise(hidden, *self.last).add_(shortcut).relu_()


class _Tile:
    """A 3 x 3 convolution of stride 1 whose input ends in zeros one cell outside."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        weight, self.bias = _weights(convolution)
        winograd = Winograd.of(weight)
        self.to_input, self.weight, self.to_output = winograd.of_inner, winograd.weight_PCD, winograd.to_output

    def __call__(self, cells_SRC: Tensor) -> Tensor:
        regions = cells_SRC.shape[1]
        transformed = (self.to_input @ cells_SRC.flatten(1)).view(len(self.weight), regions, -1)
        products = torch.bmm(transformed, self.weight)
        return (self.to_output @ products.flatten(1)).view(SIDE * SIDE, regions, -1) + self.bias


def _pointwise(convolution: nn.Module) -> tuple[Tensor, Tensor]:
    weight, bias = _weights(convolution)
    return weight[:, :, 0, 0].contiguous(), bias


def _weights(convolution: nn.Module) -> tuple[Tensor, Tensor]:
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    assert convolution.stride == (1, 1)
    return convolution.weight.detach(), convolution.bias.detach()
