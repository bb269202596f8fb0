"""What it costs to let a location of the network learn a target (OneNet, section 3.1).

The cost adds up how far the location is from saying the target's class (focal), from its box (L1, relative to the
image) and how little the boxes overlap (generalised IoU). With ``PRE_DEFINE`` the location itself, or its anchor,
stands for the predicted box: the ablation that shows what learning from predictions is worth.

Dimensions: B images, K classes, L locations of an image, P values of a prior, T targets of the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from baselines.onenet.modeling.batch_targets import BatchTargets
from baselines.onenet.modeling.overlap import generalised_iou
from baselines.onenet.structures import HeadOutput

EPSILON = 1e-8
"""Within the logarithms of the class cost, as published."""

WRONG_LEVEL = 9999.0
"""Added where a location's pyramid level does not care for boxes of the target's size."""

NEVER = 1e8
"""In place of a cost that is not finite: such a location is taken when no other is left, and never crashes a solver."""


class Compared(Enum):
    """What of a location is compared with the target's box."""

    BOXES = "the predicted box"
    ANCHORS = "the location's anchor"
    CENTRES = "the location"
    CENTRES_OF_LEVEL = "the location, if its pyramid level cares for boxes of that size"


@dataclass(frozen=True)
class CostWeights:
    """``CLASS_COST``, ``L1_COST``, ``GIOU_COST``, and ``ALPHA`` and ``GAMMA`` of the focal class cost."""

    classes: float = 2.0
    l1: float = 5.0
    giou: float = 2.0
    alpha: float = 0.25
    gamma: float = 2.0


@dataclass(frozen=True)
class MatchingCost:
    """The cost of all pairs of a batch.

    Args:
        weights: of the terms.
        compared: with the target's box.
        sizes_of_interest: lowest and highest largest side distance that every pyramid level cares for, in pixels.
    """

    weights: CostWeights = CostWeights()
    compared: Compared = Compared.BOXES
    sizes_of_interest: Sequence[tuple[float, float]] = ()

    @torch.no_grad()
    def __call__(self, output: HeadOutput, targets: BatchTargets) -> Tensor:
        """Return the finite cost of every target at every location of its image, T x L; the output is in float32."""
        cost_TL = class_cost(output.logits_BKL, targets, self.weights).add_(self._place_cost(output, targets))
        return cost_TL.nan_to_num_(nan=NEVER, posinf=NEVER, neginf=NEVER)

    def _place_cost(self, output: HeadOutput, targets: BatchTargets) -> Tensor:
        if self.compared is Compared.BOXES:
            corners = [corner_BL[targets.image_T] for corner_BL in output.boxes_B4L.unbind(1)]
            return box_cost(corners, targets, self.weights)
        if self.compared is Compared.ANCHORS:
            return box_cost(output.priors_PL.unbind(0), targets, self.weights)
        cost_TL = self.weights.l1 * centre_distance(output.priors_PL, targets)
        if self.compared is Compared.CENTRES_OF_LEVEL:
            assert output.levels_L is not None
            cares_TL = level_cares(output.priors_PL, output.levels_L, targets, self.sizes_of_interest)
            cost_TL += WRONG_LEVEL * ~cares_TL
        return cost_TL


def class_cost(logits_BKL: Tensor, targets: BatchTargets, weights: CostWeights) -> Tensor:
    """Return the weighted focal cost of naming the target's class, T x L."""
    p_TL = logits_BKL[targets.image_T, targets.classes_T].sigmoid_()
    positive_TL = (1 - p_TL).pow_(weights.gamma).mul_((p_TL + EPSILON).log_()).mul_(-weights.alpha)
    negative_TL = p_TL.pow(weights.gamma).mul_((1 - p_TL + EPSILON).log_()).mul_(-(1 - weights.alpha))
    return positive_TL.sub_(negative_TL).mul_(weights.classes)


def box_cost(corners: Sequence[Tensor], targets: BatchTargets, weights: CostWeights) -> Tensor:
    """Return the weighted L1 and overlap costs, T x L; ``corners`` are four tensors T x L, or L alike for all."""
    target_corners = [corner_T[:, None] for corner_T in targets.boxes_T4.unbind(1)]
    sizes = [size_T[:, None] for size_T in targets.sizes_T4.unbind(1)]
    distance_TL = sum(
        (ours / size - theirs / size).abs() for ours, theirs, size in zip(corners, target_corners, sizes, strict=True)
    )
    overlap_TL = generalised_iou(corners, target_corners)
    return weights.l1 * distance_TL - weights.giou * overlap_TL


def centre_distance(locations_2L: Tensor, targets: BatchTargets) -> Tensor:
    """Return twice the L1 distance between location and target centre, relative to the image, T x L."""
    doubled_centre_T2 = targets.boxes_T4[:, :2] + targets.boxes_T4[:, 2:]
    size_T2 = targets.sizes_T4[:, :2]
    distance_T2L = 2 * locations_2L / size_T2[..., None] - (doubled_centre_T2 / size_T2)[..., None]
    return distance_T2L.abs().sum(1)


def level_cares(
    locations_2L: Tensor, level_L: Tensor, targets: BatchTargets, sizes_of_interest: Sequence[tuple[float, float]]
) -> Tensor:
    """Return whether a location's level cares for a box with such distances to its sides, T x L.

    The distance to the top is left out, as published: the original measures the bottom one twice.
    """
    x_L, y_L = locations_2L
    x1, _, x2, y2 = (corner_T[:, None] for corner_T in targets.boxes_T4.unbind(1))
    largest_TL = torch.maximum(torch.maximum(x_L - x1, x2 - x_L), y2 - y_L)
    bounds = largest_TL.new_tensor(sizes_of_interest)
    low_L, high_L = bounds[level_L.long()].unbind(1)
    return (largest_TL >= low_L) & (largest_TL <= high_L)
