"""The head: templates made of class images, and what matching them with an image gives (OS2D, section 4).

Shapes: B images, C classes, D channels, T x T template cells, H W feature map, A = H * W anchors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from os2d.modeling.alignment import Affine, Aligner, TemplateGrid, aligned_boxes, aligned_corners, aligned_score
from os2d.modeling.anchors import anchor_boxes, encode_boxes
from os2d.modeling.correlation import correlate, correlate_cells_last, normalise
from os2d.modeling.folding import uses_batch_statistics
from os2d.structures.sizes import Size

POSITIONS_AT_ONCE_ON_CPU = 20_000
"""Positions of all pairs of a chunk. Larger chunks outgrow the caches, and the system clears their memory anew each
time; smaller ones read the spectra of the kernels too often."""


@dataclass(frozen=True)
class Heads:
    """One template per class, C x D x T x T, normalised over D; an index selects classes."""

    templates: Tensor

    def __len__(self) -> int:
        return len(self.templates)

    def __getitem__(self, classes: slice | Tensor) -> Heads:
        return Heads(self.templates[classes])

    def to(self, device: torch.device | str) -> Heads:
        """Return the heads on ``device``."""
        return Heads(self.templates.to(device))

    @staticmethod
    def cat(parts: Sequence[Heads]) -> Heads:
        """Return the classes of all parts, in order."""
        return Heads(torch.cat([part.templates for part in parts]))


class Matches(NamedTuple):
    """What the network says about every anchor and class.

    Attributes:
        loc_scores: (B, C, 4, A) codes of the boxes.
        class_scores: (B, C, A) in [-1, 1].
        class_scores_detached: the same values; their gradient does not reach the alignment.
        fm_size: W and H.
        corners: (B, C, 8, A) corners of the aligned class image in the image, in pixels, without history.
    """

    loc_scores: Tensor
    class_scores: Tensor
    class_scores_detached: Tensor
    fm_size: Size
    corners: Tensor


class Os2dHead(nn.Module):
    """Makes templates and matches them with image features."""

    def __init__(self, aligner: Aligner, template: TemplateGrid) -> None:
        super().__init__()
        self.aligner = aligner
        self.template = template

    def make_heads(self, class_features: Sequence[Tensor]) -> Heads:
        """Return the templates of feature maps (D, h, w) of any sizes, resampled to T x T."""
        size = (self.template.cells, self.template.cells)
        resampled = [interpolate(f[None], size, mode="bilinear", align_corners=True) for f in class_features]
        templates_CDTT = normalise(torch.cat(resampled))
        # Laid out cell by cell in memory, the order in which every correlation reads them.
        return Heads(templates_CDTT.permute(0, 3, 2, 1).contiguous().permute(0, 3, 2, 1))

    def match(self, features_BDHW: Tensor, heads: Heads, memory_mb: float) -> Matches:
        """Return the matches of every image with every class.

        Without gradients the classes are worked off in chunks that need about ``memory_mb``.
        """
        features_BDHW = normalise(features_BDHW)
        if torch.is_grad_enabled():
            return self._match(features_BDHW, heads)
        match = self._match if uses_batch_statistics(self.aligner) else self._infer
        fm_size = Size.of_tensor(features_BDHW)
        step = self.classes_per_chunk(fm_size, len(features_BDHW), memory_mb)
        if features_BDHW.device.type == "cpu":
            positions = fm_size.w * fm_size.h * len(features_BDHW)
            step = max(1, min(step, POSITIONS_AT_ONCE_ON_CPU // positions))
        chunks = [match(features_BDHW, heads[i : i + step]) for i in range(0, len(heads), step)]
        return chunks[0] if len(chunks) == 1 else _cat_classes(chunks)

    def classes_per_chunk(self, fm_size: Size, num_images: int, memory_mb: float) -> int:
        """Return how many classes can be matched at once in ``memory_mb``, at least one.

        A pair of an image and a class needs its correlation volume and, one after the other, what the TransformNet
        does with it and what the score does: the counted cells as maps, their sampling grid (two numbers a cell, and
        as many while it is made) and the samples. The spectra of the TransformNet's kernels are no part of it: they do
        not grow with the number of classes, nor with the map.
        """
        positions = fm_size.w * fm_size.h
        volume = self.template.cells**2 * positions
        scoring = 6 * self.template.counted_cells * positions
        aligning = self.aligner.parameter_regressor.floats_per_pair(fm_size.h, fm_size.w)
        bytes_per_class = num_images * 4 * (volume + max(scoring, aligning))
        return max(1, int(memory_mb * 2**20 / bytes_per_class))

    def _match(self, features_BDHW: Tensor, heads: Heads) -> Matches:
        correlation_NKHW = correlate(features_BDHW, heads.templates)
        return self._matches(features_BDHW, len(heads), correlation_NKHW, self.aligner(correlation_NKHW))

    def _infer(self, features_BDHW: Tensor, heads: Heads) -> Matches:
        """Return what ``_match`` does, faster, for networks that do not learn."""
        correlation_BCHWK = correlate_cells_last(features_BDHW, heads.templates)
        affine = self.aligner.infer(correlation_BCHWK)
        return self._matches(features_BDHW, len(heads), correlation_BCHWK.movedim(-1, -3), affine)

    def _matches(self, features_BDHW: Tensor, num_classes: int, correlation_NKHW: Tensor, affine: Affine) -> Matches:
        pairs = (len(features_BDHW), num_classes)
        scores = detached = self._scores(correlation_NKHW, affine, pairs)
        if scores.requires_grad:
            detached = self._scores(correlation_NKHW, affine.detach(), pairs)
        fm_size = Size.of_tensor(features_BDHW)
        anchors_A4 = anchor_boxes(fm_size, self.template.side_px, self.template.stride, features_BDHW.device)
        codes = encode_boxes(aligned_boxes(affine, self.template).flatten(1, 2), anchors_A4).transpose(1, 2)
        return Matches(
            loc_scores=codes.unflatten(0, pairs),
            class_scores=scores,
            class_scores_detached=detached,
            fm_size=fm_size,
            corners=aligned_corners(affine, self.template).flatten(2).unflatten(0, pairs),
        )

    def _scores(self, correlation_NKHW: Tensor, affine: Affine, pairs: tuple[int, int]) -> Tensor:
        """Return the scores, B x C x A."""
        scores_NA = aligned_score(correlation_NKHW, affine, self.template).flatten(1)
        scores_BCA: Tensor = scores_NA.unflatten(0, pairs)
        return scores_BCA


def _cat_classes(chunks: Sequence[Matches]) -> Matches:
    class_scores = torch.cat([chunk.class_scores for chunk in chunks], dim=1)
    return Matches(
        loc_scores=torch.cat([chunk.loc_scores for chunk in chunks], dim=1),
        class_scores=class_scores,
        class_scores_detached=class_scores,
        fm_size=chunks[0].fm_size,
        corners=torch.cat([chunk.corners for chunk in chunks], dim=1),
    )
