"""Losses of tuples (Radenovic et al., 2018): a query, a positive, and negatives.

Shapes: T tuples, S images per tuple (query, positive, negatives), D channels.
"""

from __future__ import annotations

from torch import Tensor

EPSILON = 1e-6
"""Added to every difference, so that the distance of equal descriptors has a gradient."""


def contrastive_loss(vectors_TSD: Tensor, margin: float) -> Tensor:
    """Return the sum of ``d^2 / 2`` over positives and ``max(0, margin - d)^2 / 2`` over negatives."""
    distance_TS = (vectors_TSD[:, :1] - vectors_TSD[:, 1:] + EPSILON).pow(2).sum(dim=2).sqrt()
    attracted_T, repelled_TN = distance_TS[:, 0], (margin - distance_TS[:, 1:]).clamp(min=0)
    return 0.5 * (attracted_T.pow(2).sum() + repelled_TN.pow(2).sum())


def triplet_loss(vectors_TSD: Tensor, margin: float) -> Tensor:
    """Return the sum of ``max(0, d_positive^2 - d_negative^2 + margin)`` over the negatives."""
    squared_TS = (vectors_TSD[:, :1] - vectors_TSD[:, 1:]).pow(2).sum(dim=2)
    return (squared_TS[:, :1] - squared_TS[:, 1:] + margin).clamp(min=0).sum()
