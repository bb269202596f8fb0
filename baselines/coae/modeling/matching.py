"""The network in evaluation: one image meets many queries, and nothing is computed twice.

The published program runs the whole network for every image and class. Here

- features of an image are computed once per scale, those of a query once per class;
- the region proposal network begins with a convolution of ``detect + Q(attention)``, which is the sum of a convolution
  of the image, the same for all queries, and of one of the attention, which has half the channels;
- regions are pooled at every second cell if the top looks at no other;
- fixed norms are folded into the convolutions before them;
- on a CPU the last stage runs on regions as matrix products.

Legend: Q queries, P proposals of a query, C channels, E channels of the attention, H x W cells of the image, h x w of
a query.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torchvision.models.resnet import Bottleneck

from baselines.coae.modeling.co_attention import AttentionSide
from baselines.coae.modeling.model import POOLED_CELLS, CoAE, Scored
from baselines.coae.modeling.region_pooling import pool_regions
from baselines.coae.modeling.region_top import RegionTop
from baselines.coae.modeling.rpn import propose
from os2d.modeling.folding import fold, fold_norms

QUERIES_AT_ONCE = 32
"""Class images whose features are computed together."""


@dataclass(frozen=True, eq=False)
class ImageLevel:
    """An image at one scale: what it brings to every meeting.

    Args:
        side: its features and their embedding.
        shifted_1CHW: its features after they meet a query without attention.
        rpn_hidden: what the first convolution of the RPN makes of those.
        size_12: its height and width, in pixels.
    """

    side: AttentionSide
    shifted_1CHW: Tensor
    rpn_hidden: Tensor
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
    """The network, ready to find queries in images; it does not see later changes of the weights."""

    def __init__(self, model: CoAE) -> None:
        self.model = model.eval()
        self.device = next(model.parameters()).device
        self.base, self.top = _without_norms(model.RCNN_base), _without_norms(model.RCNN_top)
        self.cells = _take_over_stride(self.top)
        (stage,) = self.top
        assert isinstance(stage, nn.Sequential)
        on_cpu = self.device.type == "cpu"  # the convolutions of a GPU choose their way themselves
        self.region_top = RegionTop(stage) if on_cpu and RegionTop.fits(stage) else None
        convolution, norm = model.match_net.Q
        assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        self.mix, self.shift = fold(convolution, norm)
        rpn_weight = model.RCNN_rpn.RPN_Conv.weight.detach()
        self.rpn_mix = torch.einsum("ocyx,ce->oeyx", rpn_weight, self.mix[:, :, 0, 0])

    @torch.no_grad()
    def learn(self, queries_Q3ss: Tensor) -> QueryFeatures:
        """Return the features of queries."""
        parts = [self._features(part) for part in queries_Q3ss.split(QUERIES_AT_ONCE)]
        return QueryFeatures(torch.cat(parts))

    @torch.no_grad()
    def see(self, image_3hw: Tensor) -> ImageLevel:
        """Return what an image brings to every meeting."""
        side = self.model.match_net.image_side(self._features(image_3hw[None]))
        shifted_1CHW = side.features_BCHW + self.shift[:, None, None]
        size_12 = shifted_1CHW.new_tensor([image_3hw.shape[1:]])
        return ImageLevel(side, shifted_1CHW, self.model.RCNN_rpn.RPN_Conv(shifted_1CHW), size_12)

    @torch.no_grad()
    def match(self, level: ImageLevel, queries: QueryFeatures) -> Scored:
        """Return the scored proposals of an image for every query."""
        model = self.model
        query = model.match_net.query_side(queries.features_QChw)
        attention_QEHW = model.match_net.attention_of_image(level.side, query)
        hidden = level.rpn_hidden + conv2d(attention_QEHW, self.rpn_mix, padding=model.RCNN_rpn.RPN_Conv.padding)
        sizes_Q2 = level.size_12.expand(len(queries), -1)
        regions_QP4 = propose(model.RCNN_rpn.read(hidden), sizes_Q2, model.rules.test_limits)
        query_QChw, gate_QC11 = model.match_net.excite(level.side, query)
        vectors_QPD = self._region_vectors(level, attention_QEHW, gate_QC11, regions_QP4)
        logits_QP2 = model.score_logits(
            vectors_QPD, self._tail((query_QChw * gate_QC11)[:, :, :: self.stride, :: self.stride])
        )
        return Scored(regions_QP4, logits_QP2.softmax(2)[:, :, 1], model.RCNN_bbox_pred(vectors_QPD), gate_QC11)

    @property
    def stride(self) -> int:
        """The distance of the cells that the top looks at."""
        return self.cells[1] - self.cells[0]

    def _features(self, images_B3HW: Tensor) -> Tensor:
        features_BCHW: Tensor = self.base(images_B3HW.to(self.device).contiguous(memory_format=torch.channels_last))
        return features_BCHW

    def _region_vectors(
        self, level: ImageLevel, attention_QEHW: Tensor, gate_QC11: Tensor, regions_QP4: Tensor
    ) -> Tensor:
        vectors = []
        for attention_EHW, gate_C11, regions_P4 in zip(attention_QEHW, gate_QC11, regions_QP4, strict=True):
            seen_1CHW = level.shifted_1CHW + conv2d(attention_EHW[None], self.mix)
            seen_HWC = seen_1CHW[0].permute(1, 2, 0).contiguous()
            pooled_PKKC = pool_regions(seen_HWC, regions_P4, self.cells, POOLED_CELLS) * gate_C11[:, 0, 0]
            vectors.append(self._region_tail(pooled_PKKC))
        return torch.stack(vectors)

    def _region_tail(self, pooled_PKKC: Tensor) -> Tensor:
        return self.region_top(pooled_PKKC) if self.region_top else self._tail(pooled_PKKC.permute(0, 3, 1, 2))

    def _tail(self, features: Tensor) -> Tensor:
        features = self.top(features)
        return features.mean(dim=(2, 3))


def _without_norms(module: nn.Sequential) -> nn.Sequential:
    """Return a copy whose fixed norms are folded into the convolutions before them, channels side by side."""
    copy = deepcopy(module).requires_grad_(False)
    fold_norms(copy)
    return copy.to(memory_format=torch.channels_last)


def _take_over_stride(top: nn.Sequential) -> tuple[int, ...]:
    """Return which cells of a pooled region the top needs; from then on it gets no others.

    A bottleneck begins with 1 x 1 convolutions of stride 2, which pass over every second cell.
    """
    first = top[0][0]  # type: ignore[index]
    if not isinstance(first, Bottleneck):
        return tuple(range(POOLED_CELLS))
    for convolution in (first.conv1, first.downsample[0]):
        convolution.stride = (1, 1)
    return tuple(range(0, POOLED_CELLS, 2))
