"""The neck of the CenterNet-like detector: from res5 back up to a quarter of the image's size (OneNet, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torchvision.ops import deform_conv2d

POINTS = 9
"""Of a 3 x 3 kernel."""


class DeformableConv2d(nn.Module):
    """A 3 x 3 convolution without bias that reads where its offsets point to (arXiv 1703.06211, 1811.11168)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias: nn.Parameter | None
        self.register_parameter("bias", None)  # a folded norm brings one

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor | None) -> Tensor:
        """Return (B, out, H, W).

        Args:
            x: (B, in, H, W).
            offset: (B, 18, H, W), down and right in turn for the points of the kernel, row by row, in cells.
            mask: (B, 9, H, W) weights of the points; None: all 1.
        """
        # There is no kernel for every reduced precision; single precision is what autocast chooses too.
        convolved: Tensor = deform_conv2d(
            x.float(),
            offset.float(),
            self.weight.float(),
            None if self.bias is None else self.bias.float(),
            padding=1,
            mask=None if mask is None else mask.float(),
        )
        return convolved.to(x.dtype)


class DeformableStage(nn.Module):
    """A deformable convolution whose offsets are predicted, then a transposed one that doubles the size."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, modulated: bool) -> None:
        super().__init__()
        self.modulated = modulated
        self.dcn_offset = nn.Conv2d(in_channels, POINTS * (3 if modulated else 2), 3, padding=1)
        self.dcn = DeformableConv2d(in_channels, out_channels)
        self.dcn_bn = nn.BatchNorm2d(out_channels)
        self.up_sample = _upsampling(out_channels, kernel)
        self.up_bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out, 2 H, 2 W)."""
        offset = self.dcn_offset(x)
        mask = None
        if self.modulated:
            offset, mask = offset[:, : 2 * POINTS], offset[:, 2 * POINTS :].sigmoid()
        x = relu(self.dcn_bn(self.dcn(x, offset, mask)))
        return relu(self.up_bn(self.up_sample(x)))


class PlainStage(nn.Module):
    """A convolution, then a transposed one that doubles the size."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.bn = nn.BatchNorm2d(out_channels)
        self.up_sample = _upsampling(out_channels, kernel)
        self.up_bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out, 2 H, 2 W)."""
        x = relu(self.bn(self.conv(x)))
        return relu(self.up_bn(self.up_sample(x)))


class Neck(nn.Module):
    """Three stages, each doubling the size and adding what the backbone has of that size."""

    def __init__(
        self, in_channels: list[int], channels: list[int], kernels: list[int], deformable: bool, modulated: bool
    ) -> None:
        """Prepare the stages; weights are not set yet.

        Args:
            in_channels: of res2, res3, res4 and res5.
            channels: of res5 and of the three sums.
            kernels: of the three transposed convolutions.
            deformable: use :class:`DeformableStage`.
            modulated: weigh the points of deformable convolutions.
        """
        super().__init__()
        stages = [
            DeformableStage(inside, outside, kernel, modulated) if deformable else PlainStage(inside, outside, kernel)
            for inside, outside, kernel in zip(channels, channels[1:], kernels, strict=False)
        ]
        of_res2, of_res3, of_res4, _ = in_channels
        self.deconv1, self.lateral_conv1 = stages[0], nn.Conv2d(of_res4, channels[1], 1)
        self.deconv2, self.lateral_conv2 = stages[1], nn.Conv2d(of_res3, channels[2], 1)
        self.deconv3, self.lateral_conv3 = stages[2], nn.Conv2d(of_res2, channels[3], 1)
        self.output_conv = nn.Conv2d(channels[-1], channels[-1], 3, padding=1)

    def forward(self, res2: Tensor, res3: Tensor, res4: Tensor, res5: Tensor) -> Tensor:
        """Return (B, channels, H / 4, W / 4) of an image of H x W."""
        x = self.deconv1(res5) + self.lateral_conv1(res4)
        x = self.deconv2(x) + self.lateral_conv2(res3)
        x = self.deconv3(x) + self.lateral_conv3(res2)
        features: Tensor = self.output_conv(x)
        return features


def _upsampling(channels: int, kernel: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution that doubles the size exactly, whatever its kernel."""
    padding = (kernel - 1) // 2
    return nn.ConvTranspose2d(
        channels, channels, kernel, stride=2, padding=padding, output_padding=2 * padding + 2 - kernel, bias=False
    )
