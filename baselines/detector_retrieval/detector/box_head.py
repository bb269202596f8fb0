"""The second stage: what the proposals show, where exactly, and its losses.

Shapes: B images, D channels, R proposals of all images, N of one image, G objects of an image, C classes with the
background.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align
from yacs.config import CfgNode

from baselines.detector_retrieval.detector.matching import IGNORED, NEGATIVE, draw_balanced, match
from baselines.detector_retrieval.detector.structures import Objects
from baselines.legacy_boxes import LARGEST_LOG_SCALE, LegacyBoxCoder, area, iou

CANONICAL_LEVEL, CANONICAL_SIDE = 4, 224
"""A proposal of this side in pixels is looked at on this level of the pyramid."""


class Pooler:
    """Cuts proposals out of the level of the pyramid that suits their size.

    Args:
        resolution: cells per side of a pooled proposal.
        scales: of the levels, relative to the image.
        sampling: samples per side of a cell.
    """

    def __init__(self, resolution: int, scales: Sequence[float], sampling: int) -> None:
        self.resolution = resolution
        self.scales = tuple(scales)
        self.sampling = sampling

    def __call__(self, levels: Sequence[Tensor], proposals: Sequence[Tensor]) -> Tensor:
        """Return (R, D, resolution, resolution) for the proposals (N, 4) of every image; further levels are unused."""
        images = [torch.full_like(boxes[:, :1], number) for number, boxes in enumerate(proposals)]
        rois_R5 = torch.cat([torch.cat(images), torch.cat(list(proposals))], dim=1)
        level_R = self.level_of(rois_R5[:, 1:])
        by_level = level_R.argsort(stable=True)
        counts = level_R.bincount(minlength=len(self.scales)).tolist()
        pooled = [
            roi_align(level, rois, self.resolution, scale, self.sampling, aligned=False)
            for level, rois, scale in zip(levels, rois_R5[by_level].split(counts), self.scales, strict=False)
        ]
        return torch.cat(pooled)[by_level.argsort()]

    def level_of(self, boxes_R4: Tensor) -> Tensor:
        """Return the number of the level (R,), 0 for the finest."""
        finest = -log2(self.scales[0])
        level_R = torch.floor(CANONICAL_LEVEL + torch.log2(area(boxes_R4).sqrt() / CANONICAL_SIDE + 1e-6))
        return (level_R - finest).clamp(0, len(self.scales) - 1).long()


class FeatureExtractor(nn.Module):
    """Two layers over the cells of a pooled proposal."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(in_features, out_features)
        self.fc7 = nn.Linear(out_features, out_features)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return a vector per proposal."""
        return functional.relu(self.fc7(functional.relu(self.fc6(pooled.flatten(1)))))


class Predictor(nn.Module):
    """Class logits, and the code of a box for every class."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(in_features, num_classes)
        self.bbox_pred = nn.Linear(in_features, 4 * num_classes)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (R, C) and codes (R, C, 4)."""
        return self.cls_score(vectors), self.bbox_pred(vectors).unflatten(1, (-1, 4))


class BoxHead(nn.Module):
    """Classifies proposals and moves their boxes."""

    def __init__(self, model: CfgNode, num_classes: int) -> None:
        super().__init__()
        self.settings = model.ROI_HEADS
        head = model.ROI_BOX_HEAD
        cells = head.POOLER_RESOLUTION**2
        self.pooler = Pooler(head.POOLER_RESOLUTION, head.POOLER_SCALES, head.POOLER_SAMPLING_RATIO)
        self.feature_extractor = FeatureExtractor(model.RESNETS.BACKBONE_OUT_CHANNELS * cells, head.MLP_HEAD_DIM)
        self.predictor = Predictor(head.MLP_HEAD_DIM, num_classes)
        self.coder = LegacyBoxCoder(tuple(self.settings.BBOX_REG_WEIGHTS), largest_log_scale=LARGEST_LOG_SCALE)

    def forward(self, levels: Sequence[Tensor], proposals: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return logits (R, C) and codes (R, C, 4) of the proposals of all images."""
        predicted: tuple[Tensor, Tensor] = self.predictor(self.feature_extractor(self.pooler(levels, proposals)))
        return predicted

    def losses(
        self,
        levels: Sequence[Tensor],
        proposals: Sequence[Tensor],
        objects: Sequence[Objects],
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Return the losses of the drawn proposals of all images together; every image has objects."""
        candidates = [torch.cat([p, o.boxes_N4]) for p, o in zip(proposals, objects, strict=True)]
        targets = [self.targets(c, o) for c, o in zip(candidates, objects, strict=True)]
        drawn = self._draw([labels for labels, _ in targets], generator)
        labels_R = torch.cat([labels[d] for (labels, _), d in zip(targets, drawn, strict=True)])
        box_targets_R4 = torch.cat([codes[d] for (_, codes), d in zip(targets, drawn, strict=True)])
        logits_RC, codes_RC4 = self(levels, [c[d] for c, d in zip(candidates, drawn, strict=True)])
        positives = (labels_R > 0).nonzero().squeeze(1)
        codes = codes_RC4[positives, labels_R[positives]]
        box_loss = functional.smooth_l1_loss(codes, box_targets_R4[positives], beta=1.0, reduction="sum")
        return {
            "loss_classifier": functional.cross_entropy(logits_RC, labels_R),
            "loss_box_reg": box_loss / len(labels_R),
        }

    def targets(self, proposals_N4: Tensor, objects: Objects) -> tuple[Tensor, Tensor]:
        """Return the label (N,) of every proposal, 0 background and -1 neither, and the code (N, 4) of its object."""
        overlaps_GN = iou(objects.boxes_N4, proposals_N4)
        match_N = match(overlaps_GN, self.settings.FG_IOU_THRESHOLD, self.settings.BG_IOU_THRESHOLD)
        object_N = match_N.clamp(min=0)
        labels_N = torch.where(match_N == NEGATIVE, 0, objects.labels_N[object_N])
        labels_N = torch.where(match_N == IGNORED, -1, labels_N)
        return labels_N, self.coder.encode(objects.boxes_N4[object_N], proposals_N4)

    def _draw(self, labels: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
        """Return the indices of the drawn proposals of every image, in rising order; waits for the device once."""
        on_cpu = torch.cat(list(labels)).cpu().split([len(of_image) for of_image in labels])
        count, fraction = self.settings.BATCH_SIZE_PER_IMAGE, self.settings.POSITIVE_FRACTION
        drawn = [torch.cat(draw_balanced(of_image, count, fraction, generator)).sort().values for of_image in on_cpu]
        return [chosen.to(labels[0].device) for chosen in drawn]
