"""How many images per second a network finds objects in, one after the other."""

from __future__ import annotations

from statistics import median

import torch
from torch import Tensor
from yacs.config import CfgNode

from baselines.onenet.modeling.model import OneNet
from os2d.bench.clock import time_call
from os2d.structures.sizes import Size

WARM_UP, CALLS = 5, 30
UNSIZED = 512
ASPECT_RATIO = 5 / 3
"""Width by height of the wide images that published speeds are stated for: 853 x 512."""


def frames_per_second(model: OneNet, config: CfgNode) -> float:
    """Return the speed with single images on the device, from pixels to boxes: the median of some calls.

    Args:
        model: in evaluation mode.
        config: its configuration; ``INPUT.MIN_SIZE_TEST`` is the height of the images; 512 where tests do not resize.
    """
    height = config.INPUT.MIN_SIZE_TEST or UNSIZED
    size = Size(min(round(height * ASPECT_RATIO), config.INPUT.MAX_SIZE_TEST), height)
    images = noise_images(1, size, model.device)
    with torch.no_grad():
        samples = [time_call(lambda: model(images), model.device) for _ in range(WARM_UP + CALLS)]
    return 1 / median(sample.seconds for sample in samples[WARM_UP:])


def noise_images(count: int, size: Size, device: torch.device) -> list[Tensor]:
    """Return images of random bytes on the device: loading them is not measured."""
    generator = torch.Generator().manual_seed(count)
    return list(torch.randint(256, (count, 3, size.h, size.w), generator=generator, dtype=torch.uint8).to(device))
