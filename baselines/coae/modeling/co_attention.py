"""Co-attention and squeeze-and-co-excitation: image and query see each other (CoAE, sections 3.1 and 3.2).

The attention of the paper is a product without a softmax, ``S = theta(aim)^T phi(detect)``, so the order of the
products is free: ``S^T g(aim)^T = phi(detect)^T (theta(aim) g(aim)^T)``. The small matrix in brackets depends on the
query alone, the one of the other direction on the image alone. Each side is computed once, however many partners it
meets.

Legend: B images or queries, C channels, E = C / 2 channels of the embeddings, N cells of a feature map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

REDUCTION = 16
"""By how much the hidden layer of the gate is narrower."""


@dataclass(frozen=True, eq=False)
class AttentionSide:
    """What one side brings to a meeting.

    Args:
        features_BCHW: of the image or the query.
        embedded_BEN: phi of an image, theta of a query.
        kernel_BEE: what this side does to the embedding of the other one.
    """

    features_BCHW: Tensor
    embedded_BEN: Tensor
    kernel_BEE: Tensor

    def __getitem__(self, index: slice | Tensor) -> AttentionSide:
        """Return the sides of some images or queries."""
        return AttentionSide(self.features_BCHW[index], self.embedded_BEN[index], self.kernel_BEE[index])


class Attended(NamedTuple):
    """An image and a query after they met: ``image`` is for the RPN; regions and query are scaled by the gate."""

    image_BCHW: Tensor
    gated_image_BCHW: Tensor
    gated_query_BCHW: Tensor
    gate_BC11: Tensor


class ChannelGate(nn.Module):
    """The weight of every channel, from the averages and the maxima of a feature map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // REDUCTION
        self.mlp = nn.Sequential(nn.Flatten(), nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """Return weights in (0, 1), B x C x 1 x 1."""
        pooled = self.mlp(features_BCHW.mean(dim=(2, 3))) + self.mlp(features_BCHW.amax(dim=(2, 3)))
        return torch.sigmoid(pooled)[:, :, None, None]


class CoAttention(nn.Module):
    """The meeting of image and query; attributes have the names of published checkpoints.

    ``W`` and ``Q`` begin with norms of weight 0, so that both sides pass unchanged. ``concat_project`` is used nowhere;
    published checkpoints have it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.g = nn.Conv2d(channels, inner, kernel_size=1)
        self.W = nn.Sequential(nn.Conv2d(inner, channels, kernel_size=1), nn.BatchNorm2d(channels))
        self.Q = nn.Sequential(nn.Conv2d(inner, channels, kernel_size=1), nn.BatchNorm2d(channels))
        self.theta = nn.Conv2d(channels, inner, kernel_size=1)
        self.phi = nn.Conv2d(channels, inner, kernel_size=1)
        self.concat_project = nn.Sequential(nn.Conv2d(2 * inner, 1, kernel_size=1, bias=False))
        self.ChannelGate = ChannelGate(channels)

    def initialise(self, generator: Generator | None) -> None:
        """Set every parameter as torch does by default, drawn from a generator; both directions are identities."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                bound = module.weight[0].numel() ** -0.5
                for parameter in module.parameters(recurse=False):
                    nn.init.uniform_(parameter, -bound, bound, generator=generator)
        for direction in (self.W, self.Q):
            nn.init.zeros_(direction[1].weight)  # type: ignore[arg-type]
            nn.init.zeros_(direction[1].bias)  # type: ignore[arg-type]

    def image_side(self, detect_BCHW: Tensor) -> AttentionSide:
        """Return what images bring."""
        return self._side(detect_BCHW, self.phi(detect_BCHW).flatten(2))

    def query_side(self, aim_BCHW: Tensor) -> AttentionSide:
        """Return what queries bring."""
        return self._side(aim_BCHW, self.theta(aim_BCHW).flatten(2))

    def _side(self, features_BCHW: Tensor, embedded_BEN: Tensor) -> AttentionSide:
        values_BEN = self.g(features_BCHW).flatten(2)
        kernel_BEE = values_BEN @ embedded_BEN.transpose(1, 2) / embedded_BEN.shape[2]
        return AttentionSide(features_BCHW, embedded_BEN, kernel_BEE)

    def attention_of_image(self, image: AttentionSide, query: AttentionSide) -> Tensor:
        """Return what queries do to the embedding of images, B x E x H x W; one image may meet many queries."""
        attention_BEN = query.kernel_BEE @ image.embedded_BEN
        attention_BEHW: Tensor = attention_BEN.unflatten(2, image.features_BCHW.shape[2:])
        return attention_BEHW

    def excite(self, image: AttentionSide, query: AttentionSide) -> tuple[Tensor, Tensor]:
        """Return the queries after they saw the images, not yet gated, B x C x h x w, and the gates, B x C x 1 x 1."""
        attention_BEN = image.kernel_BEE @ query.embedded_BEN
        shape = query.features_BCHW.shape[2:]
        seen_BCHW = query.features_BCHW + self.W(attention_BEN.unflatten(2, shape))
        return seen_BCHW, self.ChannelGate(seen_BCHW)

    def forward(self, detect_BCHW: Tensor, aim_BCHW: Tensor) -> Attended:
        """Let every image meet its query."""
        image, query = self.image_side(detect_BCHW), self.query_side(aim_BCHW)
        seen_BCHW = detect_BCHW + self.Q(self.attention_of_image(image, query))
        query_BCHW, gate_BC11 = self.excite(image, query)
        return Attended(seen_BCHW, seen_BCHW * gate_BC11, query_BCHW * gate_BC11, gate_BC11)
