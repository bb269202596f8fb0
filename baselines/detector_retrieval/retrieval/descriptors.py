"""Descriptors of pictures, at one scale or averaged over several.

Shapes: B images of one size, h x w pixels, N images of any sizes, D channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import sqrt

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from baselines.detector_retrieval.retrieval.network import RetrievalNetwork

ONE_SCALE = (1.0,)
TRAINING_SCALES = (1.0, sqrt(2), 1 / sqrt(2))
"""Of the toolbox, for whitening and its tests."""
EVALUATION_SCALES = (1.0, 1 / sqrt(2), 1 / 2)
"""Of the joint evaluation."""

PIXELS_AT_ONCE = 2_000_000
"""Of images that pass together; a batch holds images of one size."""

Scaling = Callable[[Tensor, float], Tensor]
"""Images (B, 3, h, w) and a factor to images of another size."""


def by_factor(images_B3HW: Tensor, scale: float) -> Tensor:
    """Return the images at another scale as the toolbox resizes them: bilinear, with the exact factor."""
    return interpolate(images_B3HW, scale_factor=scale, mode="bilinear", align_corners=False)


def to_whole_size(images_B3HW: Tensor, scale: float) -> Tensor:
    """Return the images at another scale as the joint evaluation resizes them: to a size rounded down, at least 1."""
    height, width = (max(int(side * scale), 1) for side in images_B3HW.shape[2:])
    return interpolate(images_B3HW, size=(height, width), mode="bilinear", align_corners=False)


def describe(
    network: RetrievalNetwork, images_B3HW: Tensor, scales: Sequence[float] = ONE_SCALE, resize: Scaling = by_factor
) -> Tensor:
    """Return the descriptors of normalised images, B x D.

    Several scales give ``((1/n) sum v_s^p)^(1/p)`` with length 1; see :attr:`RetrievalNetwork.scale_exponent` for p.
    """
    if len(scales) == 1:
        return network(images_B3HW if scales[0] == 1 else resize(images_B3HW, scales[0]))
    exponent = network.scale_exponent
    at_scales = [network(images_B3HW if scale == 1 else resize(images_B3HW, scale)) for scale in scales]
    mean_BD = torch.stack([vectors_BD.pow(exponent) for vectors_BD in at_scales]).mean(dim=0).pow(1 / exponent)
    return mean_BD / mean_BD.norm(dim=1, keepdim=True)


@torch.no_grad()
def describe_all(
    network: RetrievalNetwork,
    images: Iterable[Tensor],
    scales: Sequence[float] = ONE_SCALE,
    resize: Scaling = by_factor,
) -> Tensor:
    """Return the descriptors of images (3, h, w) of any sizes in their order, N x D, on the network's device.

    Images that follow each other and have the same size pass together.
    """
    device = next(network.parameters()).device
    parts = [describe(network, batch.to(device), scales, resize) for batch in _runs_of_one_size(images)]
    empty = torch.empty(0, network.description.channels, device=device)
    return torch.cat([empty, *parts])


def describe_by_size(
    network: RetrievalNetwork,
    images: Sequence[Tensor],
    scales: Sequence[float] = ONE_SCALE,
    resize: Scaling = by_factor,
) -> Tensor:
    """Return what :func:`describe_all` returns, sorting by size first: more images pass together."""
    order = sorted(range(len(images)), key=lambda i: images[i].shape[1:])
    found_ND = describe_all(network, (images[i] for i in order), scales, resize)
    places = torch.tensor(order, dtype=torch.int64, device=found_ND.device)
    return torch.empty_like(found_ND).index_copy_(0, places, found_ND)


def _runs_of_one_size(images: Iterable[Tensor]) -> Iterator[Tensor]:
    run: list[Tensor] = []
    for image in images:
        if run and (image.shape != run[0].shape or (len(run) + 1) * image[0].numel() > PIXELS_AT_ONCE):
            yield torch.stack(run)
            run = []
        run.append(image)
    if run:
        yield torch.stack(run)
