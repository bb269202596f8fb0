"""What OneNet minimises: focal loss of the classes everywhere, L1 and generalised IoU of the matched boxes (section 3).

Every sum is divided by the mean number of targets per process. Nothing here waits for the device: sums over matched
locations have one term per target, whether it shares its location or not.

Dimensions: B images, K classes, L locations of an image, T targets of the whole batch, P matched pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus
from yacs.config import CfgNode

from baselines.onenet.modeling.batch_targets import BatchTargets, join_targets
from baselines.onenet.modeling.matcher import MATCHERS, Pairs
from baselines.onenet.modeling.matching_cost import Compared, CostWeights, MatchingCost
from baselines.onenet.modeling.overlap import generalised_iou
from baselines.onenet.structures import HeadOutput, Targets
from os2d.choices import choose
from os2d.distributed import sum_over_processes, world_size

COMPARED_WITH_PRE_DEFINE = {
    "CenterNet": Compared.CENTRES,
    "FCOS": Compared.CENTRES_OF_LEVEL,
    "RetinaNet": Compared.ANCHORS,
}
"""Value of ``MODEL.OneNet.HEAD`` -> what is matched with targets in place of predicted boxes."""


class Criterion:
    """The losses of a configuration; it has no parameters."""

    def __init__(self, config: CfgNode) -> None:
        onenet = config.MODEL.OneNet
        self.alpha, self.gamma = onenet.ALPHA, onenet.GAMMA
        self.weights = {
            "loss_ce": onenet.CLASS_WEIGHT,
            "loss_bbox": onenet.L1_WEIGHT,
            "loss_giou": onenet.GIOU_WEIGHT,
        }
        self.match = choose("MODEL.OneNet.MATCHER", onenet.MATCHER, MATCHERS)
        pre_defined = choose("MODEL.OneNet.HEAD", onenet.HEAD, COMPARED_WITH_PRE_DEFINE)
        self.cost = MatchingCost(
            CostWeights(onenet.CLASS_COST, onenet.L1_COST, onenet.GIOU_COST, onenet.ALPHA, onenet.GAMMA),
            pre_defined if onenet.PRE_DEFINE else Compared.BOXES,
            tuple((low, high) for low, high in onenet.OBJECT_SIZES_OF_INTEREST),
        )

    def __call__(self, output: HeadOutput, targets: Sequence[Targets]) -> dict[str, Tensor]:
        """Return the weighted losses, whose sum is minimised: ``loss_ce``, ``loss_bbox``, ``loss_giou``."""
        return {name: self.weights[name] * loss for name, loss in self.unweighted(output, targets).items()}

    def unweighted(self, output: HeadOutput, targets: Sequence[Targets]) -> dict[str, Tensor]:
        """Return the three losses as they are."""
        output = in_float32(output)
        joined = join_targets(targets, output.image_sizes, output.logits_BKL.device)
        pairs = self.match(self.cost(output, joined), joined)
        count = mean_target_count(joined)
        l1, giou = box_losses(output.boxes_B4L, joined, pairs)
        classes = focal_loss(output.logits_BKL, joined, pairs, self.alpha, self.gamma)
        return {"loss_ce": classes / count, "loss_bbox": l1 / count, "loss_giou": giou / count}


def in_float32(output: HeadOutput) -> HeadOutput:
    """Return predictions whose areas do not overflow and whose small probabilities do not vanish."""
    return HeadOutput(
        output.logits_BKL.float(),
        output.boxes_B4L.float(),
        output.priors_PL.float(),
        output.levels_L,
        output.image_sizes,
    )


def mean_target_count(targets: BatchTargets) -> Tensor:
    """Return the mean number of targets per process, at least 1."""
    total = torch.full((), float(sum(targets.counts)), device=targets.image_T.device)
    return (sum_over_processes(total) / world_size()).clamp(min=1)


def focal_loss(logits_BKL: Tensor, targets: BatchTargets, pairs: Pairs, alpha: float, gamma: float) -> Tensor:
    """Return the sum of the sigmoid focal loss over every class of every location.

    A location learns the class of the last of its targets; all other entries are negative. One entry per pair is
    positive, so the positive terms are added, and the negative ones they replace taken away, at those entries alone:
    the one-hot tensor that is as large as the scores, 80 classes of 27,648 locations of every image, is never made.
    """
    everything_negative = _negative_focal(logits_BKL, alpha, gamma).sum()
    image_P, class_P = targets.image_T[pairs.target_P], targets.classes_T[pairs.target_P]
    logits_P = logits_BKL[image_P, class_P, pairs.location_P]
    correction_P = _positive_focal(logits_P, alpha, gamma) - _negative_focal(logits_P, alpha, gamma)
    counts_P = is_last_of_location(targets, pairs, len(logits_BKL), logits_BKL.shape[2])
    return everything_negative + (correction_P * counts_P).sum()


def _positive_focal(logits: Tensor, alpha: float, gamma: float) -> Tensor:
    return alpha * torch.sigmoid(-logits).pow(gamma) * softplus(-logits)


def _negative_focal(logits: Tensor, alpha: float, gamma: float) -> Tensor:
    return (1 - alpha) * torch.sigmoid(logits).pow(gamma) * softplus(logits)


def is_last_of_location(targets: BatchTargets, pairs: Pairs, num_images: int, num_locations: int) -> Tensor:
    """Return for every pair whether no later target has taken the same location."""
    place_P = targets.image_T[pairs.target_P] * num_locations + pairs.location_P
    last = torch.full((num_images * num_locations,), -1, device=place_P.device)
    last.scatter_reduce_(0, place_P, pairs.target_P, "amax")
    return last[place_P] == pairs.target_P


def box_losses(boxes_B4L: Tensor, targets: BatchTargets, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Return the sums over the pairs of the L1 distance, relative to the image, and of 1 - generalised IoU.

    A location that two targets took counts twice.
    """
    predicted_P4 = boxes_B4L[targets.image_T[pairs.target_P], :, pairs.location_P]
    wanted_P4, sizes_P4 = targets.boxes_T4[pairs.target_P], targets.sizes_T4[pairs.target_P]
    l1 = (predicted_P4 / sizes_P4 - wanted_P4 / sizes_P4).abs().sum()
    return l1, (1 - generalised_iou(predicted_P4.unbind(1), wanted_P4.unbind(1))).sum()
