"""Which regions the second stage learns from, and what it should say about them (CoAE, section 3.3).

A region is foreground where it shows an object of any class, but its label is 1 only where that is the query's class:
objects of other classes are the hard negatives of one-shot detection.

Legend: B images, N candidates, G annotated boxes, S slots (sampled regions per image).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.coae.modeling.overlaps import overlaps
from baselines.coae.modeling.rpn import CODER
from baselines.coae.modeling.sampling import RegionKeys, indices_by_key, indices_in_order


@dataclass(frozen=True)
class RegionRule:
    """How many regions are sampled, what is foreground and background, and how codes are scaled."""

    samples: int
    foreground_share: float
    foreground_iou: float
    background_iou_low: float
    background_iou_high: float
    delta_stds: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class RegionTargets:
    """Sampled regions, the foreground first.

    Args:
        regions_BS4: boxes.
        labels_BS: 1 for the query's class, 0 otherwise, int64.
        deltas_BS4: scaled codes where the label is 1, zero elsewhere.
    """

    regions_BS4: Tensor
    labels_BS: Tensor
    deltas_BS4: Tensor


@torch.no_grad()
def region_targets(
    proposals_BP4: Tensor, truth_BG4: Tensor, is_query_BG: Tensor, rule: RegionRule, keys: RegionKeys
) -> RegionTargets:
    """Return the sampled regions of a batch; the annotated boxes are candidates too.

    Args:
        proposals_BP4: of the first stage.
        truth_BG4: annotated boxes of all classes, filled up with zero boxes.
        is_query_BG: 1 for boxes of the query's class, 0 for others.
        rule: what is foreground and background.
        keys: decide which regions are taken.
    """
    candidates_BN4 = torch.cat([proposals_BP4, truth_BG4], dim=1)
    best_BN, box_BN = overlaps(candidates_BN4, truth_BG4).max(dim=2)
    foreground_BN = best_BN >= rule.foreground_iou
    background_BN = (best_BN >= rule.background_iou_low) & (best_BN < rule.background_iou_high)
    chosen_BS, is_foreground_BS = _fill_slots(foreground_BN, background_BN, rule, keys)
    regions_BS4 = candidates_BN4.gather(1, chosen_BS[:, :, None].expand(-1, -1, 4))
    box_BS = box_BN.gather(1, chosen_BS)
    labels_BS = is_query_BG.long().gather(1, box_BS) * is_foreground_BS
    matched_BS4 = truth_BG4.gather(1, box_BS[:, :, None].expand(-1, -1, 4))
    deltas_BS4 = CODER.encode(matched_BS4, regions_BS4) / regions_BS4.new_tensor(rule.delta_stds)
    return RegionTargets(regions_BS4, labels_BS, deltas_BS4.masked_fill(labels_BS[:, :, None] == 0, 0.0))


def _fill_slots(
    foreground_BN: Tensor, background_BN: Tensor, rule: RegionRule, keys: RegionKeys
) -> tuple[Tensor, Tensor]:
    """Return the candidate in every slot, B x S, and whether it counts as foreground.

    Foreground is taken without repetition, what fills up the slots with repetition. Where there is only one kind all
    slots are filled from it.
    """
    slot_S = torch.arange(rule.samples, device=foreground_BN.device)
    foreground_B1, background_B1 = (kind.sum(dim=1, keepdim=True) for kind in (foreground_BN, background_BN))
    taken_B1 = foreground_B1.clamp(max=round(rule.foreground_share * rule.samples))
    taken_B1 = taken_B1.where(background_B1 > 0, torch.zeros_like(taken_B1))
    by_key_BS = indices_by_key(foreground_BN, keys.foreground_BN)[:, : rule.samples]
    by_key_BS = torch.nn.functional.pad(by_key_BS, (0, rule.samples - by_key_BS.shape[1]))

    filling_BN = torch.where(background_B1 > 0, background_BN, foreground_BN)
    count_B1 = torch.where(background_B1 > 0, background_B1, foreground_B1)
    share_BS = keys.filling_BS.gather(1, (slot_S - taken_B1).clamp(min=0))
    place_BS = (share_BS * count_B1).floor().long().clamp(max=filling_BN.shape[1] - 1)
    filled_BS = indices_in_order(filling_BN).gather(1, place_BS)

    from_foreground_BS = slot_S < taken_B1
    return torch.where(from_foreground_BS, by_key_BS, filled_BS), from_foreground_BS | (background_B1 == 0)
