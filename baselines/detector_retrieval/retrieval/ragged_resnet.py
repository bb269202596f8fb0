"""A ResNet on pictures of different sizes at once, on a CPU.

The cells of all pictures are rows below each other. A 1 x 1 convolution is one of all rows, whatever the sizes, and a
3 x 3 convolution is 36 products by Winograd: the tiles of all pictures lie below each other as well. A library's
convolutions are prepared anew for every size, and crops that keep their aspect ratio share few.

Legend: N cells of all pictures, M of them after halving, T tiles, C and D channels before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d
from torchvision.models.resnet import Bottleneck

from baselines.detector_retrieval.retrieval.cell_rows import CellRows
from baselines.pointwise import pointwise
from baselines.winograd import SIDE, Winograd


class RaggedResNet:
    """The parts of a ResNet of bottlenecks, without norms, up to its last features; it does not learn."""

    def __init__(self, features: nn.Sequential) -> None:
        stem = features[0]
        assert isinstance(stem, nn.Conv2d)
        self._stem = stem
        self._blocks = [_Block(block) for block in _bottlenecks(features)]
        self._room = _Room()

    @staticmethod
    def fits(features: nn.Sequential) -> bool:
        """Return whether the parts are those of a ResNet of bottlenecks that is on a CPU."""
        weight = next(features.parameters())
        has_bottlenecks = all(isinstance(block, Bottleneck) for stage in features[4:] for block in stage.children())
        return has_bottlenecks and weight.device.type == "cpu" and weight.dtype == torch.float32

    def __call__(self, pictures: Sequence[Tensor]) -> list[Tensor]:
        """Return the features of pictures (3, h, w), each (1, D, H, W)."""
        maps = [self._begin(picture) for picture in pictures]
        cells = CellRows([(one.shape[2], one.shape[3]) for one in maps])
        rows_NC = self._room("entering", cells.number, maps[0].shape[1])
        torch.cat([one[0].flatten(1).T for one in maps], out=rows_NC)
        for block in self._blocks:
            rows_NC, cells = block(rows_NC, cells, self._room)
        of_pictures = zip(rows_NC.split(cells.counts), cells.sizes, strict=True)
        return [rows.view(1, *size, -1).permute(0, 3, 1, 2) for rows, size in of_pictures]

    def _begin(self, picture: Tensor) -> Tensor:
        features = self._stem(picture[None].contiguous(memory_format=torch.channels_last))
        return max_pool2d(features, kernel_size=3, stride=2, padding=1).relu_()


class _Room:
    """Memory by name that is used again: mapping that of new tensors would take as long as filling it."""

    def __init__(self) -> None:
        self._parts: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        """Return a tensor that shares its memory with the last one of that name; its values are undefined."""
        numel = prod(shape)
        if name not in self._parts or len(self._parts[name]) < numel:
            with torch.inference_mode(False):  # a tensor made in inference mode could not be written outside of it
                self._parts[name] = torch.empty(numel)
        return self._parts[name][:numel].view(shape)


class _Block:
    """One bottleneck."""

    def __init__(self, block: Bottleneck) -> None:
        self.first_DC, self.first_bias = _pointwise(block.conv1)
        self.halves = block.conv2.stride == (2, 2)
        self.middle = (_Halving if self.halves else _Tiles)(block.conv2)
        self.last_DC, self.last_bias = _pointwise(block.conv3)
        self.shortcut = None if block.downsample is None else _pointwise(block.downsample[0])

    def __call__(self, rows_NC: Tensor, cells: CellRows, room: _Room) -> tuple[Tensor, CellRows]:
        first = room("first", cells.number + 1, len(self.first_bias))
        torch.clamp_min(pointwise(rows_NC, self.first_DC, self.first_bias), 0, out=first[:-1])
        first[-1] = 0  # what is outside of a picture
        middle = self.middle(first, cells, room).relu_()
        if self.halves:
            kept = room("entering", cells.halved.number, rows_NC.shape[1])
            rows_NC, cells = torch.index_select(rows_NC, 0, cells.every_second, out=kept), cells.halved
        if self.shortcut is not None:
            rows_NC = pointwise(rows_NC, *self.shortcut)
        return pointwise(middle, self.last_DC, self.last_bias).add_(rows_NC).relu_(), cells


class _Halving:
    """A 3 x 3 convolution of stride 2."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        weight, self.bias = _weights(convolution)
        self.weight = weight.permute(2, 3, 1, 0).flatten(0, 2).contiguous()

    def __call__(self, rows: Tensor, cells: CellRows, room: _Room) -> Tensor:
        around = room("gathered", cells.halved.number * 9, rows.shape[1])
        torch.index_select(rows, 0, cells.neighbours, out=around)
        out = room("middle", cells.halved.number, len(self.bias))
        return torch.addmm(self.bias, around.view(len(out), -1), self.weight, out=out)


class _Tiles:
    """A 3 x 3 convolution of stride 1; the bias counts as one more product."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        weight, self.bias = _weights(convolution)
        self.winograd = Winograd.of(weight)
        self.to_output = torch.cat([self.winograd.to_output, weight.new_ones(SIDE * SIDE, 1)], dim=1)

    def __call__(self, rows: Tensor, cells: CellRows, room: _Room) -> Tensor:
        count, channels, channels_out = self.winograd.weight_PCD.shape
        tiles = len(cells.windows) // count
        gathered = room("gathered", len(cells.windows), channels)
        torch.index_select(rows, 0, cells.windows, out=gathered)
        factors = room("factors", count, tiles, channels)
        torch.mm(self.winograd.to_input, gathered.view(count, -1), out=factors.view(count, -1))
        products = room("products", count + 1, tiles, channels_out)
        torch.bmm(factors, self.winograd.weight_PCD, out=products[:-1])
        products[-1] = self.bias
        in_tiles = room("gathered", SIDE * SIDE, tiles * channels_out)
        torch.mm(self.to_output, products.view(count + 1, -1), out=in_tiles)
        out = room("middle", cells.number, channels_out)
        return torch.index_select(in_tiles.view(-1, channels_out), 0, cells.in_tiles, out=out)


def _bottlenecks(features: nn.Sequential) -> list[Bottleneck]:
    return [module for module in features.modules() if isinstance(module, Bottleneck)]


def _pointwise(convolution: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the weights of a 1 x 1 convolution, D x C, and its bias; the stride is not theirs."""
    weight, bias = _weights(convolution)
    return weight[:, :, 0, 0].contiguous(), bias


def _weights(convolution: nn.Module) -> tuple[Tensor, Tensor]:
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    return convolution.weight.detach(), convolution.bias.detach()
