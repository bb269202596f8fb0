"""From pictures to the numbers the network sees.

Shapes: 3 colour channels, h x w pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB pixels in [0, 1], by which networks trained on ImageNet expect images to be normalised."""


def to_bytes(image: Image.Image) -> Tensor:
    """Return the pixels of an RGB image as they are, (3, h, w) uint8."""
    return torch.from_numpy(np.array(image, dtype=np.uint8)).permute(2, 0, 1).contiguous()


def to_tensor(image: Image.Image, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return the normalised pixels of an RGB image, (3, h, w) float32."""
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8)).permute(2, 0, 1).float().div_(255)
    return pixels.sub_(torch.tensor(mean).view(3, 1, 1)).div_(torch.tensor(std).view(3, 1, 1)).contiguous()


def to_image(image_3hw: Tensor, mean: Sequence[float], std: Sequence[float]) -> Image.Image:
    """Return the picture behind normalised pixels (3, h, w), rounded to whole grey levels."""
    pixels = image_3hw.detach().float().cpu() * torch.tensor(std).view(3, 1, 1) + torch.tensor(mean).view(3, 1, 1)
    levels = pixels.mul(255).round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())
