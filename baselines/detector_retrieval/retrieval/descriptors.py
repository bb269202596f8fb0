"""Descriptors of pictures, at one scale or averaged over several.

Shapes: B images of one size, h x w pixels, N images of any sizes, S scales, D channels.
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
RAGGED_PIXELS_AT_ONCE = 400_000
"""Of images of any sizes that pass together on a CPU: their features should fit into its caches."""

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
    at_scales = [network(_at_scale(images_B3HW, scale, resize)) for scale in scales]
    return _over_scales(network, torch.stack(at_scales, dim=1))


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


@torch.no_grad()
def describe_by_size(
    network: RetrievalNetwork,
    images: Sequence[Tensor],
    scales: Sequence[float] = ONE_SCALE,
    resize: Scaling = by_factor,
) -> Tensor:
    """Return what :func:`describe_all` returns: images of any sizes pass together, or else, sorted, those of one."""
    if images and network.takes_any_sizes:
        every = (_at_scale(image[None], scale, resize)[0] for image in images for scale in scales)
        found = [network.of_any_sizes(part) for part in _parts(every, RAGGED_PIXELS_AT_ONCE)]
        return _over_scales(network, torch.cat(found).view(len(images), len(scales), -1))
    order = sorted(range(len(images)), key=lambda i: images[i].shape[1:])
    found_ND = describe_all(network, (images[i] for i in order), scales, resize)
    places = torch.tensor(order, dtype=torch.int64, device=found_ND.device)
    return torch.empty_like(found_ND).index_copy_(0, places, found_ND)


def _at_scale(images_B3HW: Tensor, scale: float, resize: Scaling) -> Tensor:
    return images_B3HW if scale == 1 else resize(images_B3HW, scale)


def _over_scales(network: RetrievalNetwork, vectors_BSD: Tensor) -> Tensor:
    if vectors_BSD.shape[1] == 1:
        return vectors_BSD[:, 0]
    exponent = network.scale_exponent
    mean_BD = vectors_BSD.pow(exponent).mean(dim=1).pow(1 / exponent)
    length_B1: Tensor = mean_BD.norm(dim=1, keepdim=True)
    return mean_BD / length_B1


def _parts(images: Iterable[Tensor], pixels: int) -> Iterator[list[Tensor]]:
    part: list[Tensor] = []
    for image in images:
        if part and sum(one[0].numel() for one in part) + image[0].numel() > pixels:
            yield part
            part = []
        part.append(image)
    yield part


def _runs_of_one_size(images: Iterable[Tensor]) -> Iterator[Tensor]:
    run: list[Tensor] = []
    for image in images:
        if run and (image.shape != run[0].shape or (len(run) + 1) * image[0].numel() > PIXELS_AT_ONCE):
            yield torch.stack(run)
            run = []
        run.append(image)
    if run:
        yield torch.stack(run)
