"""Proposals for an image: what the detector finds at every scale of the pyramid, merged by its scores.

Shapes: b images of one size, 3 colour channels, h x w pixels, N boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from baselines.detector_retrieval.detector.structures import Proposals
from baselines.detector_retrieval.joint.images import to_pixels
from os2d.structures.affine import BoxTransform
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size
from os2d.structures.suppression import suppress


class Proposer(Protocol):
    """What finds objects of any class."""

    def propose(self, images_3hw: Sequence[Tensor], /) -> Sequence[Proposals]:
        """Return what may be an object in each of some RGB images of 0 to 1."""


@torch.no_grad()
def propose(proposer: Proposer, levels: Sequence[Tensor], loaded_size: Size) -> list[BoxList]:
    """Return the boxes of all levels for every image of a batch, in its loaded size; field ``scores``.

    Args:
        proposer: the detector.
        levels: per scale, (b, 3, h, w) uint8 on the detector's device.
        loaded_size: of the images that the boxes refer to.
    """
    of_levels = [_propose_at(proposer, level, loaded_size) for level in levels]
    return [BoxList.cat(of_image) for of_image in zip(*of_levels, strict=True)]


def _propose_at(proposer: Proposer, level: Tensor, loaded_size: Size) -> list[BoxList]:
    back = BoxTransform.between(Size.of_tensor(level), loaded_size)
    found = proposer.propose(list(to_pixels(level)))
    return [BoxList(back.apply(one.boxes_N4), loaded_size, {"scores": one.scores_N}) for one in found]


def merge(proposals: BoxList, iou_threshold: float, score_threshold: float) -> BoxList:
    """Return the boxes with a score above the threshold that no better one overlaps, by falling score."""
    confident = proposals[proposals.field("scores") > score_threshold]
    return confident[suppress(confident.boxes_xyxy, confident.field("scores"), iou_threshold)]
