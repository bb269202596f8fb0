"""Convolution with a large kernel in the frequency domain, tile by tile.

A map is cut into square tiles that overlap by the size of the kernel. The Fourier transform of the tiles turns the
convolution into one matrix product over the channels per frequency, with some twentieth of the multiplications of a
7 x 7 kernel. The transforms are matrix products too: with tiles this small they are as fast as a fast Fourier
transform, they leave the frequencies in front, where the products over the channels need them, and no tile size is
better than another. The kernel's spectra depend on the tile only and so serve maps of every size.

This is the layout and the order of a convolutional layer: cross-correlation, zeros outside of the map, and as many
positions out as in.

Shapes: N maps (any number of leading dimensions), H W positions, C channels in, O channels out, k side of the kernel,
S side of a tile, G = S // 2 + 1 frequencies along x (the others of a real signal are their conjugates), M tiles of all
maps. The real and the imaginary part are a dimension of 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import pi, prod

import torch
from torch import Tensor

OUTPUTS_PER_SIDE = 20
"""Positions that a tile contributes per axis: more need fewer multiplications, but waste more at the edge of a map and
need more memory for the spectra."""

SPECTRA_IN_TILES = 16
"""Reading the spectra of the kernel from memory takes as long as the products of about so many tiles."""

SPEED_OF_DIRECT = 3
"""A direct convolution does its multiplications about so many times faster than this one its own, which move more."""


@dataclass(frozen=True)
class Spectra:
    """A kernel at every frequency.

    Attributes:
        terms: 3 x (S * G) x C x O; with the conjugated spectrum c + di: c, d - c and -(c + d), the factors of a
            product of complex numbers by three products of real ones.
        kernel: k.
    """

    terms: Tensor
    kernel: int


@dataclass(frozen=True)
class _Tiling:
    """How maps are cut: ``rows`` x ``columns`` tiles of ``side`` that begin every ``OUTPUTS_PER_SIDE`` positions."""

    rows: int
    columns: int
    side: int

    @classmethod
    def of(cls, height: int, width: int, kernel: int) -> _Tiling:
        return cls(-(-height // OUTPUTS_PER_SIDE), -(-width // OUTPUTS_PER_SIDE), tile_side(kernel))

    @property
    def tiles(self) -> int:
        return self.rows * self.columns

    @property
    def frequencies(self) -> int:
        return self.side * (self.side // 2 + 1)


def tile_side(kernel: int) -> int:
    """Return S."""
    return OUTPUTS_PER_SIDE + kernel - 1


def kernel_spectra(weight_OCkk: Tensor) -> Spectra:
    """Return the spectra of the weights of a convolutional layer with an odd, square kernel, in their format."""
    out_channels, in_channels, kernel, _ = weight_OCkk.shape
    side = tile_side(kernel)
    along_x, along_y = _forward_matrices(side, weight_OCkk.device, weight_OCkk.dtype)
    real, imaginary = along_y[:, : 2 * kernel].unflatten(0, (2, side))  # of the kernel, which is not conjugated
    factors = torch.cat([real, -imaginary - real, imaginary - real])
    taps = weight_OCkk.permute(2, 3, 1, 0).reshape(kernel, kernel, -1)
    half = torch.matmul(along_x[:, :kernel], taps).view(2 * kernel, -1)
    return Spectra((factors @ half).view(3, -1, in_channels, out_channels), kernel)


def convolve(maps_NHWC: Tensor, spectra: Spectra) -> Tensor:
    """Return the convolution of the maps with the kernel, N x H x W x O, without gradients.

    Any number of leading dimensions and any strides are accepted; the channels should be adjacent in memory.
    """
    *leading, height, width, channels = maps_NHWC.shape
    side, half = tile_side(spectra.kernel), spectra.kernel // 2
    tiling = _Tiling.of(height, width, spectra.kernel)
    tiles_SSX = _cut(maps_NHWC, tiling, half)
    to_x, to_y = _forward_matrices(side, maps_NHWC.device, maps_NHWC.dtype)
    from_y, from_x = _inverse_matrices(side, maps_NHWC.device, maps_NHWC.dtype)
    half_spectra = torch.matmul(to_x, tiles_SSX).view(2 * side, -1)
    del tiles_SSX  # each stage is as large as the tiles: two are in memory at a time
    tile_spectra = (to_y @ half_spectra).view(2, tiling.frequencies, -1, channels)
    del half_spectra
    products = _multiply(tile_spectra, spectra.terms)
    del tile_spectra
    half_products = (from_y @ products.view(2 * side, -1)).view(OUTPUTS_PER_SIDE, from_x.shape[1], -1)
    del products
    outputs = torch.matmul(from_x, half_products)
    del half_products
    return _join(outputs, tiling, leading)[..., :height, :width, :]


def pays(num_maps: int, height: int, width: int, weight_OCkk: Tensor) -> bool:
    """Tell whether this is faster than a direct convolution of so many maps with these weights.

    Only in float32 on a CPU: a GPU's library of convolutions has its own transforms, and low precision its own units.
    Small kernels, few channels and small maps do too little arithmetic to pay for the transforms.
    """
    if weight_OCkk.device.type != "cpu" or weight_OCkk.dtype is not torch.float32:
        return False
    out_channels, in_channels, kernel, _ = weight_OCkk.shape
    tiling = _Tiling.of(height, width, kernel)
    tiles = num_maps * tiling.tiles
    over_channels = 3 * tiling.frequencies * in_channels * out_channels * (tiles + SPECTRA_IN_TILES)
    transforms = 6 * tiling.side * tiling.frequencies * (in_channels + out_channels) * tiles
    direct = num_maps * height * width * weight_OCkk.numel()
    return direct > SPEED_OF_DIRECT * (over_channels + transforms)


def peak_floats(height: int, width: int, kernel: int, in_channels: int, out_channels: int) -> int:
    """Return how many numbers are in memory at the peak of a convolution, per map, without its input and spectra."""
    tiling = _Tiling.of(height, width, kernel)
    of_spectra = 2 * tiling.frequencies
    transforming = 2 * of_spectra * in_channels
    multiplying = (of_spectra + tiling.frequencies) * in_channels + of_spectra * out_channels
    return tiling.tiles * max(transforming, multiplying)


def _cut(maps_NHWC: Tensor, tiling: _Tiling, half: int) -> Tensor:
    """Return the tiles, S x S x (M * C), with zeros around the maps."""
    *leading, height, width, channels = maps_NHWC.shape
    size = (tiling.rows * OUTPUTS_PER_SIDE + 2 * half, tiling.columns * OUTPUTS_PER_SIDE + 2 * half)
    padded = maps_NHWC.new_zeros(*leading, *size, channels)
    padded[..., half : half + height, half : half + width, :] = maps_NHWC
    tiles = padded.view(-1, *size, channels).unfold(1, tiling.side, OUTPUTS_PER_SIDE)
    tiles = tiles.unfold(2, tiling.side, OUTPUTS_PER_SIDE)
    return tiles.permute(4, 5, 0, 1, 2, 3).reshape(tiling.side, tiling.side, -1)


def _multiply(tiles_2FMC: Tensor, terms_3FCO: Tensor) -> Tensor:
    """Return the products over the channels at every frequency F, 2 x F x M x O.

    (a + bi)(c + di) = c(a + b) - b(c + d) + (c(a + b) + a(d - c))i
    """
    real, imaginary = tiles_2FMC
    products = tiles_2FMC.new_empty(*tiles_2FMC.shape[:3], terms_3FCO.shape[-1])
    torch.bmm(real + imaginary, terms_3FCO[0], out=products[0])
    products[1] = products[0]
    products[0].baddbmm_(imaginary, terms_3FCO[2])
    products[1].baddbmm_(real, terms_3FCO[1])
    return products


def _join(outputs: Tensor, tiling: _Tiling, leading: list[int]) -> Tensor:
    """Return the maps that the outputs of the tiles, T x T x (M * O), are parts of."""
    side, num_maps = OUTPUTS_PER_SIDE, prod(leading)
    parts = outputs.view(side, side, num_maps, tiling.rows, tiling.columns, -1).permute(2, 3, 0, 4, 1, 5)
    return parts.reshape(*leading, tiling.rows * side, tiling.columns * side, parts.shape[-1])


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # or a first call from inference would leave tensors that training may not use
def _forward_matrices(side: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the Fourier transforms along x, (2 * G) x S, and along y, (2 * S) x (S * 2).

    The first turns S real numbers into 2 parts of G frequencies, the second S rows of 2 parts into 2 parts of S.
    """
    cos, sin = _waves(side)
    frequencies = side // 2 + 1
    along_x = torch.cat([cos[:frequencies], -sin[:frequencies]])
    along_y = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)]).reshape(2 * side, 2 * side)
    return along_x.to(device, dtype), along_y.to(device, dtype)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _inverse_matrices(side: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the inverse transforms along y, (T * 2) x (2 * S), and along x, T x (2 * G), of the T first positions.

    A frequency along x stands for its conjugate too, but for the first and, of an even number, the last.
    """
    cos, sin = (wave[:OUTPUTS_PER_SIDE] / side for wave in _waves(side))
    from_y = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    frequencies = side // 2 + 1
    times = torch.full((frequencies,), 2.0, dtype=cos.dtype)
    times[0] = 1
    if side % 2 == 0:
        times[-1] = 1
    from_x = torch.cat([cos[:, :frequencies] * times, -sin[:, :frequencies] * times], dim=1)
    return from_y.reshape(2 * OUTPUTS_PER_SIDE, 2 * side).to(device, dtype), from_x.to(device, dtype)


def _waves(side: int) -> tuple[Tensor, Tensor]:
    steps = torch.arange(side, dtype=torch.float64)
    angles = (steps[:, None] * steps % side) * (2 * pi / side)  # small angles keep the digits
    return angles.cos(), angles.sin()
