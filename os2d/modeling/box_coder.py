"""From annotated boxes to targets of the anchors, and from scores of the anchors to detections.

Shapes: B images, L labels, P labels that have a box, N boxes, A anchors (rows of the feature map one by one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from os2d.modeling.anchors import anchor_boxes, decode_boxes, encode_boxes
from os2d.modeling.assignment import POSITIVE, boxes_in_use, classify, first_box_of_each_label, match_boxes
from os2d.structures.affine import BoxTransform
from os2d.structures.boxes import BoxList, box_iou, clip, has_area, paired_iou
from os2d.structures.sizes import Size
from os2d.structures.suppression import suppress, suppress_runs


class RemappedTargets(NamedTuple):
    """Targets of the decoded boxes of a batch, and the overlaps behind them; all B x L x A."""

    targets: Tensor
    iou_anchors: Tensor
    iou_decoded: Tensor


@dataclass(frozen=True)
class BoxCoder:
    """Assigns targets to anchors and turns their scores into boxes.

    Args:
        anchor_side: of the square anchors, in pixels.
        stride: pixels per feature-map cell.
        positive_iou: an anchor is positive at this overlap or more.
        negative_iou: an anchor is negative below this overlap.
        remap_positive_iou: the same for the boxes decoded from the anchors.
        remap_negative_iou: the same for the boxes decoded from the anchors.
    """

    anchor_side: float
    stride: int
    positive_iou: float = 0.5
    negative_iou: float = 0.1
    remap_positive_iou: float = 0.8
    remap_negative_iou: float = 0.4

    def feature_map_size(self, image_size: Size) -> Size:
        """Return the size of the feature map of the network's input."""
        return image_size.in_cells(self.stride)

    def anchors(self, fm_size: Size, device: torch.device | str = "cpu") -> Tensor:
        """Return the anchors of a feature map, A x 4; the tensor is cached, do not change it."""
        return anchor_boxes(fm_size, self.anchor_side, self.stride, torch.device(device))

    def encode(
        self,
        gt: BoxList,
        image_size: Size,
        num_labels: int,
        fm_size: Size,
        to_box_frame: BoxTransform | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the targets of an image: codes (L, 4, A) and classes (L, A), 1 positive, 0 negative, -1 ignored.

        Codes of anchors that are not positive refer to the first box of the label; they are zero without one.

        Args:
            gt: boxes with the fields ``labels`` (outside 0..L-1: not in use) and ``difficult``.
            image_size: size of the network's input.
            num_labels: L.
            fm_size: size of its feature map.
            to_box_frame: brings the network's input to the image the boxes are in; may be left out if it is the same.
        """
        if to_box_frame is None and gt.size != image_size:
            raise ValueError(f"the boxes are in an image of {gt.size}, not {image_size}: pass to_box_frame")
        anchors_A4 = self._anchors_in(fm_size, gt.boxes_xyxy.device, to_box_frame)
        loc_targets = anchors_A4.new_zeros(num_labels, 4, len(anchors_A4))
        cls_targets = torch.zeros(num_labels, len(anchors_A4), dtype=torch.int64, device=anchors_A4.device)
        boxes = boxes_in_use(gt, num_labels)
        match = match_boxes(box_iou(boxes.boxes_xyxy, anchors_A4), boxes)
        classes_PA = classify(match, boxes.difficult, self.positive_iou, self.negative_iou)
        first_P1 = first_box_of_each_label(boxes)[:, None]
        target_PA = torch.where(classes_PA == POSITIVE, match.box, first_P1)
        cls_targets[boxes.labels] = classes_PA
        loc_targets[boxes.labels] = encode_boxes(boxes.boxes_xyxy[target_PA], anchors_A4).movedim(-1, 1)
        return loc_targets, cls_targets

    def encode_pyramid(
        self,
        gt: BoxList,
        image_sizes: Sequence[Size],
        num_labels: int,
        fm_sizes: Sequence[Size],
        transforms: Sequence[BoxTransform | None],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return :meth:`encode` of every level of an image pyramid: codes per level, classes per level."""
        levels = zip(image_sizes, fm_sizes, transforms, strict=True)
        encoded = [self.encode(gt, image, num_labels, fm, transform) for image, fm, transform in levels]
        return [loc for loc, _ in encoded], [cls for _, cls in encoded]

    @torch.no_grad()
    def remap_targets(
        self,
        loc_scores_BL4A: Tensor,
        gts: Sequence[BoxList],
        fm_size: Size,
        transforms: Sequence[BoxTransform | None] | None = None,
    ) -> RemappedTargets:
        """Return class targets by the overlap of the boxes the network predicts, instead of the plain anchors.

        Args:
            loc_scores_BL4A: predicted codes.
            gts: one list per image, as for :meth:`encode`.
            fm_size: size of the feature map of the network's input.
            transforms: per image, from the network's input to the image the boxes are in; None: the same.
        """
        images = zip(loc_scores_BL4A, gts, transforms or [None] * len(gts), strict=True)
        remapped = [self._remap_image(loc_L4A, gt, fm_size, transform) for loc_L4A, gt, transform in images]
        return RemappedTargets(*(torch.stack(parts) for parts in zip(*remapped, strict=True)))

    def _remap_image(
        self, loc_L4A: Tensor, gt: BoxList, fm_size: Size, to_box_frame: BoxTransform | None
    ) -> RemappedTargets:
        num_labels, _, num_anchors = loc_L4A.shape
        boxes = boxes_in_use(gt.to(loc_L4A.device), num_labels)
        decoded_PA4 = decode_boxes(loc_L4A[boxes.labels].movedim(1, -1), self.anchors(fm_size, loc_L4A.device))
        if to_box_frame is not None:
            decoded_PA4 = to_box_frame.apply(decoded_PA4)
        anchors_A4 = self._anchors_in(fm_size, loc_L4A.device, to_box_frame)
        match_anchors = match_boxes(box_iou(boxes.boxes_xyxy, anchors_A4), boxes)
        match = match_boxes(paired_iou(boxes.boxes_xyxy[:, None], decoded_PA4[boxes.row]), boxes)
        targets = torch.zeros(num_labels, num_anchors, dtype=torch.int64, device=loc_L4A.device)
        iou_anchors, iou_decoded = loc_L4A.new_zeros(2, num_labels, num_anchors)
        targets[boxes.labels] = classify(match, boxes.difficult, self.remap_positive_iou, self.remap_negative_iou)
        iou_anchors[boxes.labels] = match_anchors.iou
        iou_decoded[boxes.labels] = match.iou
        return RemappedTargets(targets, iou_anchors, iou_decoded)

    def _anchors_in(self, fm_size: Size, device: torch.device, transform: BoxTransform | None) -> Tensor:
        anchors_A4 = self.anchors(fm_size, device)
        return anchors_A4 if transform is None else transform.apply(anchors_A4)

    @torch.no_grad()
    def decode_pyramid(
        self,
        loc_scores: Sequence[Tensor],
        class_scores: Sequence[Tensor],
        corners: Sequence[Tensor] | None,
        image_sizes: Sequence[Size],
        fm_sizes: Sequence[Size],
        class_ids: Tensor,
        score_threshold: float,
        nms_iou: float,
        to_original: Sequence[BoxTransform | None] | None,
        original_size: Size,
        nms_across_classes: bool = False,
    ) -> BoxList:
        """Return the detections of an image, ordered by class id and falling score.

        The fields are ``scores``, ``labels`` (class ids), ``default_boxes`` (the anchors, N x 4) and, if corners are
        given, ``transform_corners`` (N x 8).

        Args:
            loc_scores: codes per level of the image pyramid, (L, 4, A) each.
            class_scores: per level, (L, A).
            corners: of the transformed class image per level, (L, 8, A).
            image_sizes: per level, of the network's input; boxes are cut to it.
            fm_sizes: per level, of its feature map.
            class_ids: (L,) class of every row; a class seen in several views has several rows.
            score_threshold: detections have a higher score.
            nms_iou: of two boxes of a class that overlap more, the one with the lower score goes.
            to_original: per level, to the image the detections are wanted in; None: it is the same.
            original_size: size of that image.
            nms_across_classes: suppress between classes too, afterwards; the result is ordered by score alone.
        """
        nothing: list[None] = [None] * len(loc_scores)
        transforms = [t or BoxTransform.identity() for t in to_original or nothing]
        order = class_ids.argsort(stable=True).to(loc_scores[0].device)
        per_level = list(zip(loc_scores, class_scores, image_sizes, fm_sizes, transforms, strict=True))
        decoded = [
            clip(decode_boxes(loc[order].movedim(1, -1), self.anchors(fm_size, loc.device)), image_size)
            for loc, _, image_size, fm_size, _ in per_level
        ]
        scores_LA = torch.cat([scores for _, scores, *_ in per_level], dim=-1)[order]
        wanted_LA = torch.cat([has_area(boxes) for boxes in decoded], dim=-1) & (scores_LA > score_threshold)
        boxes_LA4 = torch.cat([t.apply(b) for b, t in zip(decoded, transforms, strict=True)], dim=1)

        candidates = wanted_LA.flatten().nonzero().squeeze(1)
        # index_select is several times faster than indexing on a CPU, and there may be millions of candidates.
        boxes = boxes_LA4.flatten(0, 1).index_select(0, candidates)
        scores = scores_LA.flatten().index_select(0, candidates)
        labels_L = class_ids.to(order.device)[order]
        kept = suppress_runs(boxes, scores, _run_lengths(labels_L, wanted_LA.sum(dim=1)), nms_iou)
        if nms_across_classes:
            kept = kept[suppress(boxes[kept], scores[kept], nms_iou)]
        rows, cells = candidates[kept] // scores_LA.shape[1], candidates[kept] % scores_LA.shape[1]
        anchors = [t.apply(self.anchors(fm_size, order.device)) for *_, fm_size, t in per_level]
        fields = {"scores": scores[kept], "labels": labels_L[rows], "default_boxes": torch.cat(anchors)[cells]}
        if corners is not None:
            mapped = [t.apply_corners(c[order].movedim(1, -1)) for c, t in zip(corners, transforms, strict=True)]
            fields["transform_corners"] = torch.cat(mapped, dim=1)[rows, cells]
        return BoxList(boxes[kept], original_size, fields)


def _run_lengths(labels_L: Tensor, counts_L: Tensor) -> list[int]:
    """Return how many there are of every label, of the counts per row; equal labels are neighbours."""
    label_L = labels_L.unique_consecutive(return_inverse=True)[1]
    return torch.zeros_like(counts_L).scatter_add_(0, label_L, counts_L).tolist()
