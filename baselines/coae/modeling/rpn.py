"""The region proposal network: where there is an object of any class (Faster R-CNN; CoAE, section 3).

Legend: B images, A anchors per cell, H x W cells, N = H W A anchors of an image, row by row with the anchors of a cell
together, P proposals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import pad

from baselines.coae.modeling.resnet import STRIDE
from baselines.legacy_anchors import cell_anchors, grid_anchors
from baselines.legacy_boxes import LegacyBoxCoder, suppress_legacy
from os2d.structures.sizes import Size

HIDDEN = 512
CODER = LegacyBoxCoder(last_pixel=0.0)
"""What this network encodes with counted pixels it decodes one pixel longer; weights were trained with that."""


@dataclass(frozen=True)
class ProposalLimits:
    """How many boxes go into the suppression and come out of it, and from which overlap one suppresses another."""

    before: int
    after: int
    iou_threshold: float


class RpnOutput(NamedTuple):
    """Two logits (background, object) and four codes of every anchor."""

    logits_BN2: Tensor
    deltas_BN4: Tensor
    anchors_N4: Tensor

    @property
    def objectness(self) -> Tensor:
        """The probability of an object, B x N."""
        return self.logits_BN2.softmax(dim=2)[:, :, 1]


class Rpn(nn.Module):
    """Scores and shifts anchors; attributes have the names of published checkpoints."""

    base_A4: Tensor

    def __init__(self, channels: int, scales: Sequence[float], ratios: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("base_A4", cell_anchors(STRIDE, scales, ratios), persistent=False)
        self.RPN_Conv = nn.Conv2d(channels, HIDDEN, kernel_size=3, padding=1)
        self.RPN_cls_score = nn.Conv2d(HIDDEN, 2 * len(self.base_A4), kernel_size=1)
        self.RPN_bbox_pred = nn.Conv2d(HIDDEN, 4 * len(self.base_A4), kernel_size=1)

    def initialise(self, generator: Generator | None) -> None:
        """Set small random weights and no biases."""
        for convolution in (self.RPN_Conv, self.RPN_cls_score, self.RPN_bbox_pred):
            nn.init.normal_(convolution.weight, std=0.01, generator=generator)
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]

    def forward(self, features_BCHW: Tensor) -> RpnOutput:
        """Return logits and codes of every anchor."""
        return self.read(self.RPN_Conv(features_BCHW))

    def read(self, hidden_BCHW: Tensor) -> RpnOutput:
        """Return logits and codes, given what the first convolution made of the features."""
        hidden = hidden_BCHW.relu()
        scores, deltas = self.RPN_cls_score(hidden), self.RPN_bbox_pred(hidden)
        return self.arrange(scores, deltas)

    def arrange(self, scores_BCHW: Tensor, deltas_BCHW: Tensor) -> RpnOutput:
        """Return channels as values per anchor: scores are (class, anchor) there, codes (anchor, code)."""
        logits_BN2 = scores_BCHW.unflatten(1, (2, -1)).permute(0, 3, 4, 2, 1).flatten(1, 3)
        deltas_BN4 = deltas_BCHW.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3)
        anchors_N4 = grid_anchors(self.base_A4, Size.of_tensor(scores_BCHW), STRIDE)
        return RpnOutput(logits_BN2, deltas_BN4, anchors_N4)


@torch.no_grad()
def propose(output: RpnOutput, sizes_B2: Tensor, limits: ProposalLimits) -> Tensor:
    """Return the boxes most likely to hold an object, B x P x 4, P the largest number that is allowed.

    Where fewer are found the rest are zero boxes: published networks score those too.

    Args:
        output: of the network.
        sizes_B2: height and width of every image, padding included.
        limits: of the suppression.
    """
    return propose_among(output.objectness, output.deltas_BN4, output.anchors_N4, sizes_B2, limits)


@torch.no_grad()
def propose_among(
    objectness_BN: Tensor, deltas_BN4: Tensor, anchors_N4: Tensor, sizes_B2: Tensor, limits: ProposalLimits
) -> Tensor:
    """Return :func:`propose`, given probabilities."""
    scores_BM, best_BM = objectness_BN.topk(min(limits.before, objectness_BN.shape[1]), dim=1)
    deltas_BM4 = deltas_BN4.gather(1, best_BM[:, :, None].expand(-1, -1, 4))
    boxes_BM4 = clip_to_sizes(CODER.decode(deltas_BM4, anchors_N4[best_BM]), sizes_B2)
    found = []
    for boxes_M4, scores_M in zip(boxes_BM4, scores_BM, strict=True):  # suppression is image by image
        kept = suppress_legacy(boxes_M4, scores_M, limits.iou_threshold)[: limits.after]
        found.append(pad(boxes_M4[kept], (0, 0, 0, limits.after - len(kept))))
    return torch.stack(found)


def clip_to_sizes(boxes_BN4: Tensor, sizes_B2: Tensor) -> Tensor:
    """Return boxes moved into the pixels of images of different sizes, given as height and width."""
    limits_B14 = (sizes_B2.flip(1) - 1).repeat(1, 2)[:, None]
    return torch.minimum(boxes_BN4.clamp(min=0), limits_B14)
