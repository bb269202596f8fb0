"""The network in evaluation: one image meets many queries, and nothing is computed twice.

Legend: Q queries, P proposals of a query, C channels, H x W cells of the image, h x w of a query.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.coae.modeling.co_attention import AttentionSide
from baselines.coae.modeling.model import CoAE, Scored
from baselines.coae.modeling.rpn import propose

QUERIES_AT_ONCE = 32
"""Class images whose features are computed together."""


@dataclass(frozen=True, eq=False)
class ImageLevel:
    """An image at one scale: what it brings to every meeting, and its height and width."""

    side: AttentionSide
    size_12: Tensor


@dataclass(frozen=True, eq=False)
class QueryFeatures:
    """The features of queries, Q x C x h x w."""

    features_QChw: Tensor

    def __len__(self) -> int:
        return len(self.features_QChw)

    def __getitem__(self, index: slice | Tensor) -> QueryFeatures:
        return QueryFeatures(self.features_QChw[index])


class Matcher:
    """The network, ready to find queries in images; its weights must not change meanwhile."""

    def __init__(self, model: CoAE) -> None:
        self.model = model.eval()
        self.device = next(model.parameters()).device

    @torch.no_grad()
    def learn(self, queries_Q3ss: Tensor) -> QueryFeatures:
        """Return the features of queries."""
        parts = [self.model.RCNN_base(part.to(self.device)) for part in queries_Q3ss.split(QUERIES_AT_ONCE)]
        return QueryFeatures(torch.cat(parts))

    @torch.no_grad()
    def see(self, image_3hw: Tensor) -> ImageLevel:
        """Return what an image brings to every meeting."""
        image_13hw = image_3hw[None].to(self.device)
        side = self.model.match_net.image_side(self.model.RCNN_base(image_13hw))
        return ImageLevel(side, image_13hw.new_tensor([image_3hw.shape[1:]]))

    @torch.no_grad()
    def match(self, level: ImageLevel, queries: QueryFeatures) -> Scored:
        """Return the scored proposals of an image for every query."""
        model, image = self.model, level.side
        query = model.match_net.query_side(queries.features_QChw)
        seen_QCHW = image.features_BCHW + model.match_net.Q(model.match_net.attention_of_image(image, query))
        query_QChw, gate_QC11 = model.match_net.excite(image, query)
        sizes_Q2 = level.size_12.expand(len(queries), -1)
        regions_QP4 = propose(model.RCNN_rpn(seen_QCHW), sizes_Q2, model.rules.test_limits)
        vectors_QPD = model.region_vectors(seen_QCHW * gate_QC11, regions_QP4)
        logits_QP2 = model.score_logits(vectors_QPD, model.head_to_tail(query_QChw * gate_QC11))
        return Scored(regions_QP4, logits_QP2.softmax(2)[:, :, 1], model.RCNN_bbox_pred(vectors_QPD), gate_QC11)
