"""What the region proposal network should have said: object or not, and where (Faster R-CNN, section 3.1.2).

The class of an annotated box plays no part: proposals are of objects of any class.

Legend: B images, N anchors, G annotated boxes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.coae.modeling.overlaps import overlaps
from baselines.coae.modeling.rpn import CODER
from baselines.coae.modeling.sampling import AnchorKeys, without_surplus

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1
LOWEST_BEST_OVERLAP = 1e-5
"""An annotated box whose best anchor overlaps it less has none."""


@dataclass(frozen=True)
class AnchorRule:
    """From which overlap an anchor is positive, below which negative, and how many of each are learned from."""

    positive_iou: float
    negative_iou: float
    samples: int
    positive_share: float


@dataclass(frozen=True, eq=False)
class AnchorTargets:
    """Targets of every anchor.

    Args:
        labels_BN: 1, 0 or -1, int64.
        deltas_BN4: codes of the annotated box that overlaps most; zero where the anchor leaves the image.
        unsampled_labels_BN: the labels before surplus ones were left out.
    """

    labels_BN: Tensor
    deltas_BN4: Tensor
    unsampled_labels_BN: Tensor


@torch.no_grad()
def anchor_targets(
    anchors_N4: Tensor, truth_BG4: Tensor, size_2: Tensor, rule: AnchorRule, keys: AnchorKeys
) -> AnchorTargets:
    """Return the targets of a batch.

    Args:
        anchors_N4: of the feature map.
        truth_BG4: annotated boxes of all classes.
        size_2: height and width of the first image, which stand for the whole batch.
        rule: what is positive and negative.
        keys: decide which anchors are left out.
    """
    inside_N = _inside(anchors_N4, size_2)
    overlap_BNG = overlaps(anchors_N4.expand(len(truth_BG4), -1, -1), truth_BG4)
    best_BN, best_box_BN = overlap_BNG.max(dim=2)
    of_inside_BNG = overlap_BNG.masked_fill(~inside_N[:, None], -torch.inf)
    best_of_box_B1G = of_inside_BNG.amax(dim=1, keepdim=True)
    best_of_box_B1G = best_of_box_B1G.masked_fill(best_of_box_B1G == 0, LOWEST_BEST_OVERLAP)
    is_best_BN = (of_inside_BNG == best_of_box_B1G).any(dim=2)
    positive_BN = (is_best_BN | (best_BN >= rule.positive_iou)) & inside_N
    negative_BN = (best_BN < rule.negative_iou) & ~positive_BN & inside_N
    labels_BN = _labels(positive_BN, negative_BN)

    allowed_B = torch.full_like(positive_BN.sum(dim=1), int(rule.positive_share * rule.samples))
    kept_BN = without_surplus(positive_BN, keys.positive_BN, allowed_B)
    negative_BN = without_surplus(negative_BN, keys.negative_BN, rule.samples - kept_BN.sum(dim=1))
    matched_BN4 = truth_BG4.gather(1, best_box_BN[:, :, None].expand(-1, -1, 4))
    deltas_BN4 = CODER.encode(matched_BN4, anchors_N4).masked_fill(~inside_N[:, None], 0.0)
    return AnchorTargets(_labels(kept_BN, negative_BN), deltas_BN4, labels_BN)


def _inside(anchors_N4: Tensor, size_2: Tensor) -> Tensor:
    """Return which anchors lie within the image."""
    height, width = size_2.long().unbind()
    x1, y1, x2, y2 = anchors_N4.unbind(dim=1)
    return (x1 >= 0) & (y1 >= 0) & (x2 < width) & (y2 < height)


def _labels(positive_BN: Tensor, negative_BN: Tensor) -> Tensor:
    labels_BN = torch.full_like(positive_BN, IGNORED, dtype=torch.int64)
    return labels_BN.masked_fill(negative_BN, NEGATIVE).masked_fill(positive_BN, POSITIVE)
