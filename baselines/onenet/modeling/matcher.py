"""Which location of the network learns which target.

Minimum cost, the paper's assignment, lets every target take its cheapest location: one argmin for the whole batch, on
the device. The Hungarian assignment of the newer published code gives a location to one target at most; it has to be
solved image by image on the CPU, which waits for the device.

Dimensions: L locations of an image, T targets of the whole batch, P matched pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from baselines.onenet.modeling.batch_targets import BatchTargets


class Pairs(NamedTuple):
    """Matched locations and targets.

    Attributes:
        location_P: index of the location in its image.
        target_P: index of the target in the batch.
    """

    location_P: Tensor
    target_P: Tensor


Matcher = Callable[[Tensor, BatchTargets], Pairs]
"""From the cost T x L of every target at the locations of its image to the pairs."""


def match_minimum_cost(cost_TL: Tensor, targets: BatchTargets) -> Pairs:
    """Return the cheapest location of every target, in the order of the targets; of equal ones the first.

    Two targets may take the same location. Every target is matched, however many there are.
    """
    return Pairs(cost_TL.argmin(1), torch.arange(len(cost_TL), device=cost_TL.device))


def match_hungarian(cost_TL: Tensor, targets: BatchTargets) -> Pairs:
    """Return the cheapest one-to-one assignment of every image, ordered by location.

    Where an image has more targets than locations, as many pairs as it has locations.

    Of N targets none needs more than its N cheapest locations: were it given another, one of these would be free. So
    the problem is as small as N x (at most) N x N, however many locations there are, and little leaves the device.
    """
    locations, indices, start = [], [], 0
    for count in targets.counts:
        of_image_NL = cost_TL[start : start + count]
        candidates_M = cheapest_locations(of_image_NL)
        target_P, column_P = linear_sum_assignment(of_image_NL[:, candidates_M].cpu().numpy())
        by_location = np.argsort(column_P, kind="stable")
        locations.append(candidates_M.cpu()[column_P[by_location]])
        indices.append(torch.from_numpy(start + target_P[by_location]))
        start += count
    return Pairs(torch.cat(locations).to(cost_TL.device), torch.cat(indices).to(cost_TL.device))


def cheapest_locations(cost_NL: Tensor) -> Tensor:
    """Return the locations, ascending, that are among the N cheapest of some of the N targets."""
    num_targets, num_locations = cost_NL.shape
    cheapest_NN = cost_NL.topk(min(num_targets, num_locations), dim=1, largest=False).indices
    locations_M: Tensor = cheapest_NN.unique()
    return locations_M


MATCHERS: Mapping[str, Matcher] = {"MinCost": match_minimum_cost, "Hungarian": match_hungarian}
"""Value of ``MODEL.OneNet.MATCHER`` -> assignment."""
