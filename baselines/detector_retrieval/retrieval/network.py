"""The retrieval network: a ResNet, a pooling, and possibly a fully connected layer that whitens.

Shapes: B images of one size, h x w pixels, D channels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import ResNet
from yacs.config import CfgNode

from baselines.detector_retrieval.retrieval.pooling import POOLINGS, GeneralisedMean, l2_normalise
from baselines.detector_retrieval.retrieval.ragged_resnet import RaggedResNet
from os2d.choices import choose
from os2d.data.normalisation import IMAGENET_MEAN, IMAGENET_STD
from os2d.modeling.backbone import ARCHITECTURES
from os2d.modeling.folding import fold_norms, uses_batch_statistics
from os2d.modeling.weight_cache import WeightCache

CHILDREN = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
"""Parts of a ResNet that are kept, in their order: their numbers are the names of the weights."""


@dataclass(frozen=True)
class NetworkDescription:
    """What a network is made of; checkpoints carry it under ``meta``.

    Args:
        architecture: ``resnet18`` to ``resnet101``.
        pooling: a key of ``POOLINGS``.
        whitening: whether a fully connected layer follows.
        mean: of RGB pixels in [0, 1], by which images are normalised.
        std: likewise.
    """

    architecture: str
    pooling: str = "gem"
    whitening: bool = False
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    @classmethod
    def from_config(cls, network: CfgNode) -> NetworkDescription:
        """Return the network that the branch ``network`` of a configuration names."""
        return cls(network.arch, network.pooling, network.whitening)

    @property
    def channels(self) -> int:
        """Length of a descriptor."""
        expansion: int = _architecture(self.architecture).block.expansion
        return 512 * expansion

    def meta(self) -> dict[str, Any]:
        """Return the entry ``meta`` of a checkpoint of the retrieval toolbox."""
        own = {**asdict(self), "mean": list(self.mean), "std": list(self.std)}
        return {**own, "local_whitening": False, "regional": False, "outputdim": self.channels}


class RetrievalNetwork(nn.Module):
    """Normalised images (B, 3, h, w) to unit descriptors (B, D).

    Attributes:
        description: what it is made of.
    """

    def __init__(self, features: nn.Sequential, description: NetworkDescription) -> None:
        super().__init__()
        self.description = description
        self.features = features
        self.pool = choose("network.pooling", description.pooling, POOLINGS)()
        channels = description.channels
        self.whiten = nn.Linear(channels, channels) if description.whitening else None
        self._without_norms: WeightCache[nn.Sequential] = WeightCache()
        self._ragged: WeightCache[RaggedResNet] = WeightCache()

    def forward(self, images_B3HW: Tensor) -> Tensor:
        """Return the descriptors; while nothing learns, with every BatchNorm folded into its convolution."""
        features = self.features if self._learns else self._folded
        return self._whitened(l2_normalise(self.pool(features(images_B3HW))))

    @property
    def takes_any_sizes(self) -> bool:
        """Whether images of different sizes can pass together."""
        return not self._learns and RaggedResNet.fits(self.features)

    def of_any_sizes(self, images: Sequence[Tensor]) -> Tensor:
        """Return the descriptors of normalised images (3, h, w) that pass together, B x D.

        They differ by rounding from those of :meth:`forward`; see :attr:`takes_any_sizes`.
        """
        ragged = self._ragged.get(self._feature_weights(), lambda _: RaggedResNet(self._folded))
        return self._whitened(l2_normalise(torch.cat([self.pool(features) for features in ragged(images)])))

    def train(self, mode: bool = True) -> RetrievalNetwork:
        """Switch the mode; BatchNorm always uses its stored statistics, because tuples pass image by image."""
        super().train(mode)
        for module in self.features.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    @property
    def scale_exponent(self) -> float:
        """The exponent by which descriptors of several scales are averaged: GeM's own, 1 after a whitening layer."""
        if not isinstance(self.pool, GeneralisedMean) or self.whiten is not None:
            return 1.0
        return float(self.pool.p.detach())

    @property
    def _learns(self) -> bool:
        return torch.is_grad_enabled() or uses_batch_statistics(self.features)

    @property
    def _folded(self) -> nn.Sequential:
        return self._without_norms.get(self._feature_weights(), self._fold_norms)

    def _whitened(self, vectors_BD: Tensor) -> Tensor:
        return vectors_BD if self.whiten is None else l2_normalise(self.whiten(vectors_BD))

    def _feature_weights(self) -> list[Tensor]:
        return [*self.features.parameters(), *self.features.buffers()]

    def _fold_norms(self, last: nn.Sequential | None) -> nn.Sequential:
        network = deepcopy(self.features)
        fold_norms(network)
        return network.requires_grad_(False).to(memory_format=torch.channels_last)


def build_network(description: NetworkDescription, generator: torch.Generator | None = None) -> RetrievalNetwork:
    """Return a randomly initialised network.

    Args:
        description: what it is made of.
        generator: source of the initial weights; None is torch's global one.

    Raises:
        ConfigError: for an unknown architecture or pooling.
    """
    architecture = _architecture(description.architecture)
    with torch.device("meta"):  # draws nothing: the weights are drawn below, from the generator alone
        resnet = ResNet(architecture.block, architecture.blocks_per_stage)
    children = OrderedDict((str(number), getattr(resnet, name)) for number, name in enumerate(CHILDREN))
    network = RetrievalNetwork(nn.Sequential(children).to_empty(device="cpu"), description)
    _initialise(network, generator)
    return network.eval()


def _architecture(name: str) -> Any:
    return choose("network.arch", name, {arch.lower(): found for arch, found in ARCHITECTURES.items()})


def _initialise(network: RetrievalNetwork, generator: torch.Generator | None) -> None:
    """Set every parameter and buffer the way torchvision and torch do."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=sqrt(5), generator=generator)
            bound = 1 / sqrt(module.in_features)
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
