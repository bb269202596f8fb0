"""The TransformNet: affine parameters from correlations (OS2D, section 4.2).

While it does not learn, it works with cells last: the template cells or channels of a position lie side by side, as
the products over the channels in ``fft_convolution`` read them.

Shapes: N pairs of an image and a class (any number of leading dimensions), K template cells in the order of
``correlation``, H W feature map, P affine parameters, C and O channels of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu

from os2d.modeling import fft_convolution
from os2d.modeling.correlation import normalise
from os2d.modeling.folding import Folded, fold
from os2d.modeling.weight_cache import WeightCache

IDENTITY = {6: (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 4: (1.0, 0.0, 1.0, 0.0)}
"""Number of parameters -> the parameters of the map that changes nothing."""

CORRELATION_EPSILON = 1e-6

CHANNELS_LAST_MULTIPLE = 16
"""A direct convolution on a CPU is slow with channels last if their number is no multiple of this."""

LARGEST_BATCH = 1024
"""Pairs that are never exceeded at once; with so many, whatever may pay does."""


class TransformNet(nn.Module):
    """Predicts affine parameters from a correlation volume.

    It starts at the identity: a fresh network matches the undeformed template at every position.
    """

    def __init__(
        self, num_cells: int, num_parameters: int, kernel_sizes: Sequence[int], channels: Sequence[int]
    ) -> None:
        super().__init__()
        widths = [num_cells, *channels]
        layers: list[nn.Module] = []
        for inputs, outputs, kernel in zip(widths, channels, kernel_sizes, strict=False):
            layers += [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.conv = nn.Sequential(*layers)
        self.linear = nn.Conv2d(widths[-1], num_parameters, kernel_sizes[-1], padding=kernel_sizes[-1] // 2)
        self._layers: WeightCache[list[_FixedLayer]] = WeightCache()

    def initialise(self, generator: torch.Generator | None) -> None:
        """Set the hidden layers to torch's default initialisation and the last layer to the identity."""
        for module in self.conv:
            if isinstance(module, nn.Conv2d):
                bound = 1 / sqrt(module.weight[0].numel())
                nn.init.uniform_(module.weight, -bound, bound, generator=generator)
                assert module.bias is not None
                nn.init.uniform_(module.bias, -bound, bound, generator=generator)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
        assert self.linear.bias is not None
        with torch.no_grad():
            self.linear.weight.zero_()
            self.linear.bias.copy_(torch.tensor(IDENTITY[len(self.linear.bias)]))

    def forward(self, correlation_NKHW: Tensor) -> Tensor:
        """Return the parameters, N x P x H x W."""
        parameters_NPHW: Tensor = self.linear(self.conv(normalise(relu(correlation_NKHW), CORRELATION_EPSILON)))
        return parameters_NPHW

    def infer(self, correlation_NHWK: Tensor) -> Tensor:
        """Return the parameters (N, P, H, W) of a volume with any number of leading dimensions, without gradients.

        BatchNorm uses its stored statistics. The volume is not changed.
        """
        maps_NHWC = _normalised(correlation_NHWK)
        layers = self._fixed_layers()
        for layer in layers[:-1]:
            maps_NHWC = layer(maps_NHWC).relu_()
        return layers[-1](maps_NHWC).flatten(0, -4).permute(0, 3, 1, 2)

    def floats_per_pair(self, height: int, width: int) -> int:
        """Return how many numbers of memory ``infer`` needs for a pair at its peak, without the volume itself."""
        positions = height * width
        peak = 0
        for convolution in (m for m in self.modules() if isinstance(m, nn.Conv2d)):
            inputs, outputs, kernel = convolution.in_channels, convolution.out_channels, convolution.kernel_size[0]
            direct = positions * (2 * inputs + outputs)  # the convolution lays the input out anew
            transformed = fft_convolution.peak_floats(height, width, kernel, inputs, outputs)
            may_transform = fft_convolution.pays(LARGEST_BATCH, height, width, convolution.weight)
            peak = max(peak, positions * inputs + (max(direct, transformed) if may_transform else direct))
        return peak

    def _fixed_layers(self) -> list[_FixedLayer]:
        """Return the layers with their norms folded in."""
        return self._layers.get([*self.parameters(), *self.buffers()], lambda _: self._fix_layers())

    def _fix_layers(self) -> list[_FixedLayer]:
        convolutions = [module for module in self.conv if isinstance(module, nn.Conv2d)]
        norms = [module for module in self.conv if isinstance(module, nn.BatchNorm2d)]
        hidden = [_FixedLayer(fold(*pair)) for pair in zip(convolutions, norms, strict=True)]
        return [*hidden, _FixedLayer(fold(self.linear, None))]


class _FixedLayer:
    """A convolution whose weights stay: direct, or through the spectra of its kernel where that is faster."""

    def __init__(self, folded: Folded) -> None:
        self.weight, self.bias = folded
        self._spectra: fft_convolution.Spectra | None = None

    def __call__(self, maps_NHWC: Tensor) -> Tensor:
        """Return the outputs, N x H x W x O."""
        *leading, height, width, _ = maps_NHWC.shape
        if fits_transforms(maps_NHWC) and fft_convolution.pays(prod(leading), height, width, self.weight):
            return fft_convolution.convolve(maps_NHWC, self._spectra_of_weight()) + self.bias
        maps_NCHW = maps_NHWC.flatten(0, -4).permute(0, 3, 1, 2)
        if maps_NCHW.device.type == "cpu" and maps_NCHW.shape[1] % CHANNELS_LAST_MULTIPLE:
            maps_NCHW = maps_NCHW.contiguous()
        outputs = conv2d(maps_NCHW, self.weight, self.bias, padding=self.weight.shape[-1] // 2)
        outputs_NHWO: Tensor = outputs.permute(0, 2, 3, 1).unflatten(0, leading)
        return outputs_NHWO

    def _spectra_of_weight(self) -> fft_convolution.Spectra:
        if self._spectra is None:
            with torch.inference_mode(False), torch.no_grad():  # they outlive the inference that needs them first
                self._spectra = fft_convolution.kernel_spectra(self.weight)
        return self._spectra


def fits_transforms(maps: Tensor) -> bool:
    """Tell whether matrix products of the maps keep all digits, as the transforms of ``fft_convolution`` need."""
    return maps.dtype is torch.float32 and not torch.is_autocast_enabled(maps.device.type)


def _normalised(correlation_NHWK: Tensor) -> Tensor:
    """Return ``normalise(relu(...))`` of a volume with cells last, in its format."""
    positive = relu(correlation_NHWK)
    length = torch.linalg.vector_norm(positive, dim=-1, keepdim=True, dtype=torch.float32) + CORRELATION_EPSILON
    return positive.div_(length.to(positive.dtype))
