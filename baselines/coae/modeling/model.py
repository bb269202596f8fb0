"""The network of CoAE: a shared base, co-attention, region proposals and a head that compares regions with the query.

Legend: B images, each with its query; P proposals per image; S sampled regions; R regions of all images; C channels of
the base; D of the top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torchvision.ops import roi_align
from yacs.config import CfgNode

from baselines.coae.modeling.anchor_targets import AnchorRule, anchor_targets
from baselines.coae.modeling.co_attention import CoAttention
from baselines.coae.modeling.losses import Losses, head_losses, rpn_losses
from baselines.coae.modeling.region_targets import RegionRule, RegionTargets, region_targets
from baselines.coae.modeling.resnet import STRIDE, SplitResNet, build_resnet
from baselines.coae.modeling.rpn import ProposalLimits, Rpn, propose
from baselines.coae.modeling.sampling import AnchorKeys, RegionKeys, draw_anchor_keys, draw_region_keys

POOLED_CELLS = 7
"""Cells per side of a pooled region."""

SCORE_HIDDEN = 8


@dataclass(frozen=True)
class ModelRules:
    """What decides the numbers besides the weights."""

    test_limits: ProposalLimits
    train_limits: ProposalLimits
    anchors: AnchorRule
    regions: RegionRule
    margin: float


class TrainBatch(NamedTuple):
    """What one step learns from.

    Args:
        images_B3HW: normalised, padded with zeros to a common size.
        queries_B3hw: normalised.
        sizes_B2: height and width of every image, its own padding included, float32.
        truth_BG4: annotated boxes, filled up with zero boxes.
        is_query_BG: 1 for boxes of the query's class.
    """

    images_B3HW: Tensor
    queries_B3hw: Tensor
    sizes_B2: Tensor
    truth_BG4: Tensor
    is_query_BG: Tensor

    def pin_memory(self) -> TrainBatch:
        """Return the batch in page-locked memory."""
        return TrainBatch(*(part.pin_memory() for part in self))

    def to(self, device: torch.device) -> TrainBatch:
        """Return the batch on a device."""
        return TrainBatch(*(part.to(device, non_blocking=True) for part in self))


class TrainKeys(NamedTuple):
    """The random numbers of one step."""

    anchors: AnchorKeys
    regions: RegionKeys

    def to(self, device: torch.device) -> TrainKeys:
        """Return the numbers on a device."""
        anchors = AnchorKeys(*(part.to(device, non_blocking=True) for part in self.anchors))
        return TrainKeys(anchors, RegionKeys(*(part.to(device, non_blocking=True) for part in self.regions)))


class Scored(NamedTuple):
    """What the network says of its proposals: boxes, scores in [0, 1] and codes, and the gate of every image."""

    regions_BP4: Tensor
    scores_BP: Tensor
    deltas_BP4: Tensor
    gate_BC11: Tensor


class CoAE(nn.Module):
    """One-shot detector; attributes have the names, and stand in the order, of published checkpoints.

    Args:
        resnet: base and top.
        anchor_scales: sides of anchors, in strides.
        anchor_ratios: of height to width.
        fixed_blocks: stages of the base that never learn, and the stem with them; -1: everything learns.
        rules: limits and thresholds.
    """

    def __init__(
        self,
        resnet: SplitResNet,
        anchor_scales: list[float],
        anchor_ratios: list[float],
        fixed_blocks: int,
        rules: ModelRules,
    ) -> None:
        super().__init__()
        self.match_net = CoAttention(resnet.channels)
        self.RCNN_rpn = Rpn(resnet.channels, anchor_scales, anchor_ratios)
        self.RCNN_base = resnet.base
        self.RCNN_top = resnet.top
        self.RCNN_cls_score = nn.Sequential(
            nn.Linear(2 * resnet.top_channels, SCORE_HIDDEN), nn.Linear(SCORE_HIDDEN, 2)
        )
        self.RCNN_bbox_pred = nn.Linear(resnet.top_channels, 4)
        self.rules = rules
        self._freeze(fixed_blocks)

    def initialise(self, generator: Generator | None) -> None:
        """Draw the weights of all but the ResNet."""
        self.match_net.initialise(generator)
        self.RCNN_rpn.initialise(generator)
        for layer, std in (
            (self.RCNN_cls_score[0], 0.01),
            (self.RCNN_cls_score[1], 0.01),
            (self.RCNN_bbox_pred, 0.001),
        ):
            nn.init.normal_(layer.weight, std=std, generator=generator)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def _freeze(self, fixed_blocks: int) -> None:
        stem, stages = self.RCNN_base[:2], list(self.RCNN_base[4:])
        for part in [stem, *stages][: fixed_blocks + 1]:
            part.requires_grad_(False)
        for norm in self._fixed_norms():
            norm.requires_grad_(False)

    def _fixed_norms(self) -> list[nn.BatchNorm2d]:
        modules = [*self.RCNN_base.modules(), *self.RCNN_top.modules()]
        return [module for module in modules if isinstance(module, nn.BatchNorm2d)]

    def train(self, mode: bool = True) -> CoAE:
        """Set the mode; the norms of the ResNet use their stored statistics in both."""
        super().train(mode)
        for norm in self._fixed_norms():
            norm.eval()
        return self

    def head_to_tail(self, features: Tensor) -> Tensor:
        """Return one vector per region or query, R x D."""
        features = self.RCNN_top(features)
        return features.mean(dim=3).mean(dim=2)

    def score_logits(self, vectors_BSD: Tensor, query_BD: Tensor) -> Tensor:
        """Return two logits of every region, B x S x 2: something else, the query's class."""
        query_BSD = query_BD[:, None].expand_as(vectors_BSD)
        logits_BS2: Tensor = self.RCNN_cls_score(torch.cat([vectors_BSD, query_BSD], dim=2))
        return logits_BS2

    def region_vectors(self, gated_BCHW: Tensor, regions_BS4: Tensor) -> Tensor:
        """Return the vectors of regions, B x S x D."""
        pooled = roi_align(gated_BCHW, list(regions_BS4.unbind()), POOLED_CELLS, 1 / STRIDE, aligned=False)
        vectors_BSD: Tensor = self.head_to_tail(pooled).unflatten(0, regions_BS4.shape[:2])
        return vectors_BSD

    @torch.no_grad()
    def forward(self, images_B3HW: Tensor, queries_B3hw: Tensor, sizes_B2: Tensor) -> Scored:
        """Return the scored proposals of every image for its query.

        Args:
            images_B3HW: normalised.
            queries_B3hw: normalised.
            sizes_B2: height and width of every image, float32.
        """
        attended = self.match_net(self.RCNN_base(images_B3HW), self.RCNN_base(queries_B3hw))
        regions_BP4 = propose(self.RCNN_rpn(attended.image_BCHW), sizes_B2, self.rules.test_limits)
        vectors_BPD = self.region_vectors(attended.gated_image_BCHW, regions_BP4)
        logits_BP2 = self.score_logits(vectors_BPD, self.head_to_tail(attended.gated_query_BCHW))
        return Scored(regions_BP4, logits_BP2.softmax(2)[:, :, 1], self.RCNN_bbox_pred(vectors_BPD), attended.gate_BC11)

    def draw_keys(self, rng: np.random.Generator, batch: TrainBatch) -> TrainKeys:
        """Draw the random numbers of a step."""
        count, (height, width) = len(batch.images_B3HW), self.cells_of(*batch.images_B3HW.shape[2:])
        anchors = height * width * len(self.RCNN_rpn.base_A4)
        candidates = self.rules.train_limits.after + batch.truth_BG4.shape[1]
        return TrainKeys(
            draw_anchor_keys(rng, count, anchors),
            draw_region_keys(rng, count, candidates, self.rules.regions.samples),
        )

    def losses(self, batch: TrainBatch, keys: TrainKeys) -> tuple[Losses, RegionTargets]:
        """Return the losses of a batch, and the regions that the second stage learned from."""
        rules = self.rules
        attended = self.match_net(self.RCNN_base(batch.images_B3HW), self.RCNN_base(batch.queries_B3hw))
        output = self.RCNN_rpn(attended.image_BCHW)
        wanted = anchor_targets(output.anchors_N4, batch.truth_BG4, batch.sizes_B2[0], rules.anchors, keys.anchors)
        proposals_BP4 = propose(output, batch.sizes_B2, rules.train_limits)
        targets = region_targets(proposals_BP4, batch.truth_BG4, batch.is_query_BG, rules.regions, keys.regions)
        vectors_BSD = self.region_vectors(attended.gated_image_BCHW, targets.regions_BS4)
        logits_BS2 = self.score_logits(vectors_BSD, self.head_to_tail(attended.gated_query_BCHW))
        of_head = head_losses(logits_BS2, self.RCNN_bbox_pred(vectors_BSD), targets, rules.margin)
        return Losses(*rpn_losses(output, wanted), *of_head), targets

    @staticmethod
    def cells_of(height: int, width: int) -> tuple[int, int]:
        """Return the size of the feature map of an image."""
        return _cells(height), _cells(width)


def _cells(side: int) -> int:
    """Return the cells that a side has after the convolution, the pooling that rounds up, and two stages."""
    after_convolution = -(-side // 2)
    after_pooling = max(-(-(after_convolution - 3) // 2), 0) + 1
    return -(-after_pooling // 4)


def build_coae(config: CfgNode, generator: Generator | None = None) -> CoAE:
    """Return a randomly initialised network.

    Raises:
        ConfigError: for an unknown ``model.net``.
    """
    resnet = build_resnet(config.model.net, config.model.group_norm, generator)
    model = CoAE(
        resnet,
        config.model.anchor_scales,
        config.model.anchor_ratios,
        config.model.fixed_blocks,
        rules_of(config),
    )
    model.initialise(generator)
    return model


def rules_of(config: CfgNode) -> ModelRules:
    """Return the rules of a configuration."""
    train = config.train
    return ModelRules(
        test_limits=_limits(config.eval.proposals),
        train_limits=_limits(train.proposals),
        anchors=AnchorRule(train.rpn.positive_iou, train.rpn.negative_iou, train.rpn.samples, train.rpn.positive_share),
        regions=RegionRule(
            train.head.samples,
            train.head.foreground_share,
            train.head.foreground_iou,
            train.head.background_iou_low,
            train.head.background_iou_high,
            tuple(config.model.delta_stds),
        ),
        margin=train.head.margin,
    )


def _limits(proposals: CfgNode) -> ProposalLimits:
    return ProposalLimits(proposals.before_nms, proposals.after_nms, proposals.nms_iou_threshold)
