"""The region proposal network: which anchors show an object, the proposals made of them, and its losses.

Shapes: B images, D channels of a level of H x W cells, K anchors per cell, A anchors of a level, L of all levels,
G objects of an image, N proposals of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional
from yacs.config import CfgNode

from baselines.detector_retrieval.detector.anchors import AnchorGenerator, inside
from baselines.detector_retrieval.detector.matching import (
    IGNORED,
    draw_balanced,
    match_every_object,
)
from baselines.detector_retrieval.detector.structures import Objects, Proposals
from baselines.legacy_boxes import LARGEST_LOG_SCALE, LegacyBoxCoder, clip, iou, suppress_legacy
from os2d.structures.sizes import Size

CODER = LegacyBoxCoder(largest_log_scale=LARGEST_LOG_SCALE)

BOX_BETA = 1 / 9
"""Where the loss of a code turns from quadratic to linear."""


class RpnHead(nn.Module):
    """For every anchor the logit that it shows an object, and the code of the object's box."""

    def __init__(self, channels: int, anchors_per_cell: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.cls_logits = nn.Conv2d(channels, anchors_per_cell, kernel_size=1)
        self.bbox_pred = nn.Conv2d(channels, 4 * anchors_per_cell, kernel_size=1)

    def forward(self, level_BDHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, A) and codes (B, A, 4)."""
        hidden = functional.relu(self.conv(level_BDHW))
        return by_anchor(self.cls_logits(hidden), self.bbox_pred(hidden))


def by_anchor(logits_BKHW: Tensor, codes_BKHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return maps of K logits and 4K codes in the order of the anchors: (B, A) and (B, A, 4)."""
    codes_BK4HW = codes_BKHW.unflatten(1, (-1, 4))
    return logits_BKHW.permute(0, 2, 3, 1).flatten(1), codes_BK4HW.permute(0, 3, 4, 1, 2).flatten(1, 3)


class ProposalSelector:
    """Turns anchors into proposals; limits differ between training and testing.

    Args:
        per_level_before: anchors of a level and image that are decoded, those with the best scores.
        per_level_after: boxes of a level and image that stay after suppression.
        altogether: boxes over all levels.
        nms_iou: a box that overlaps a better one of its level by more is dropped.
    """

    def __init__(self, per_level_before: int, per_level_after: int, altogether: int, nms_iou: float) -> None:
        self.per_level_before = per_level_before
        self.per_level_after = per_level_after
        self.altogether = altogether
        self.nms_iou = nms_iou

    def of_each_image(
        self, levels: Sequence[tuple[Tensor, Tensor]], anchors: Sequence[Tensor], sizes: Sequence[Size]
    ) -> list[Proposals]:
        """Return the best proposals of every image, by falling score."""
        found = []
        for boxes_N4, scores_N in self._of_all_levels(levels, anchors, sizes):
            scores, best = scores_N.topk(min(self.altogether, len(scores_N)))
            found.append(Proposals(boxes_N4[best], scores))
        return found

    def of_batch(
        self, levels: Sequence[tuple[Tensor, Tensor]], anchors: Sequence[Tensor], sizes: Sequence[Size]
    ) -> list[Proposals]:
        """Return the best proposals of all images together, as Detectron trained; an image may have none."""
        found = self._of_all_levels(levels, anchors, sizes)
        scores = torch.cat([proposals.scores_N for proposals in found])
        is_kept = torch.zeros_like(scores, dtype=torch.bool)
        is_kept[scores.topk(min(self.altogether, len(scores))).indices] = True
        kept = is_kept.split([len(proposals.scores_N) for proposals in found])
        return [Proposals(p.boxes_N4[k], p.scores_N[k]) for p, k in zip(found, kept, strict=True)]

    def _of_all_levels(
        self, levels: Sequence[tuple[Tensor, Tensor]], anchors: Sequence[Tensor], sizes: Sequence[Size]
    ) -> list[Proposals]:
        """Return the proposals of every image, level by level."""
        per_level = [
            self._of_level(logits_BA, codes_BA4, anchors_A4, sizes)
            for (logits_BA, codes_BA4), anchors_A4 in zip(levels, anchors, strict=True)
        ]
        of_image = zip(*per_level, strict=True)
        return [Proposals(*(torch.cat(parts) for parts in zip(*found, strict=True))) for found in of_image]

    def _of_level(
        self, logits_BA: Tensor, codes_BA4: Tensor, anchors_A4: Tensor, sizes: Sequence[Size]
    ) -> list[Proposals]:
        scores_BN, best_BN = logits_BA.sigmoid().topk(min(self.per_level_before, logits_BA.shape[1]), dim=1)
        codes_BN4 = codes_BA4.gather(1, best_BN[..., None].expand(-1, -1, 4))
        # A box of a training that diverged may be no number: pooling it would end the process, the loss will tell.
        boxes_BN4 = CODER.decode(codes_BN4, anchors_A4[best_BN]).nan_to_num(0.0)
        found = []
        for boxes_N4, scores_N, size in zip(boxes_BN4, scores_BN, sizes, strict=True):
            boxes_N4 = clip(boxes_N4, size)
            kept = suppress_legacy(boxes_N4, scores_N, self.nms_iou)[: self.per_level_after]
            found.append(Proposals(boxes_N4[kept], scores_N[kept]))
        return found


class Rpn(nn.Module):
    """Head, anchors and the selection of proposals."""

    def __init__(self, model: CfgNode) -> None:
        super().__init__()
        rpn = self.settings = model.RPN
        self.anchor_generator = AnchorGenerator(rpn.ANCHOR_SIZES, rpn.ANCHOR_STRIDE, rpn.ASPECT_RATIOS)
        with torch.device("meta"):
            self.head = RpnHead(model.RESNETS.BACKBONE_OUT_CHANNELS, self.anchor_generator.per_cell)
        self.train_selector = ProposalSelector(
            rpn.PRE_NMS_TOP_N_TRAIN, rpn.POST_NMS_TOP_N_TRAIN, rpn.FPN_POST_NMS_TOP_N_TRAIN, rpn.NMS_THRESH
        )
        self.test_selector = ProposalSelector(
            rpn.PRE_NMS_TOP_N_TEST, rpn.POST_NMS_TOP_N_TEST, rpn.FPN_POST_NMS_TOP_N_TEST, rpn.NMS_THRESH
        )

    def forward(self, features: Sequence[Tensor]) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
        """Return logits and codes of every level, and its anchors."""
        anchors = self.anchor_generator([Size.of_tensor(level) for level in features])
        return [self.head(level) for level in features], anchors

    def losses(
        self,
        levels: Sequence[tuple[Tensor, Tensor]],
        anchors: Sequence[Tensor],
        sizes: Sequence[Size],
        objects: Sequence[Objects],
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Return the losses of the drawn anchors of all images together; every image has objects."""
        logits_BL = torch.cat([logits for logits, _ in levels], dim=1)
        codes_BL4 = torch.cat([codes for _, codes in levels], dim=1)
        anchors_L4 = torch.cat(list(anchors))
        matches_BL = torch.stack(
            [self.match(anchors_L4, of_image.boxes_N4, size) for of_image, size in zip(objects, sizes, strict=True)]
        )
        positives, negatives = self._draw(matches_BL, generator)
        logits = torch.cat([logits_BL[positives], logits_BL[negatives]])
        targets = torch.cat([torch.ones_like(logits_BL[positives]), torch.zeros_like(logits_BL[negatives])])
        first_B = torch.tensor([0, *accumulate(len(o.boxes_N4) for o in objects)]).to(matches_BL.device)
        boxes = torch.cat([o.boxes_N4 for o in objects])[first_B[positives[0]] + matches_BL[positives]]
        box_targets = CODER.encode(boxes, anchors_L4[positives[1]])
        box_loss = functional.smooth_l1_loss(codes_BL4[positives], box_targets, beta=BOX_BETA, reduction="sum")
        return {
            "loss_objectness": functional.binary_cross_entropy_with_logits(logits, targets),
            "loss_rpn_box_reg": box_loss / len(logits),
        }

    def match(self, anchors_L4: Tensor, objects_G4: Tensor, size: Size) -> Tensor:
        """Return for every anchor (L,) its object, ``NEGATIVE`` or ``IGNORED``, as all are that leave the image."""
        matches_L = match_every_object(
            iou(objects_G4, anchors_L4), self.settings.FG_IOU_THRESHOLD, self.settings.BG_IOU_THRESHOLD
        )
        return torch.where(inside(anchors_L4, size, self.settings.STRADDLE_THRESH), matches_L, IGNORED)

    def _draw(self, matches_BL: Tensor, generator: torch.Generator) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return image and anchor of the drawn positives and negatives, image by image; waits for the device once."""
        settings = self.settings
        drawn = [
            draw_balanced(labels_L, settings.BATCH_SIZE_PER_IMAGE, settings.POSITIVE_FRACTION, generator)
            for labels_L in labels_of(matches_BL).cpu()
        ]
        positives, negatives = zip(*drawn, strict=True)
        return _indices(positives, matches_BL.device), _indices(negatives, matches_BL.device)


def labels_of(matches: Tensor) -> Tensor:
    """Return 1 for anchors with an object, 0 for background and -1 for the others."""
    return torch.where(matches >= 0, 1, torch.where(matches == IGNORED, -1, 0)).to(torch.int8)


def _indices(per_image: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    images = torch.cat([torch.full_like(chosen, number) for number, chosen in enumerate(per_image)])
    return images.to(device), torch.cat(list(per_image)).to(device)
