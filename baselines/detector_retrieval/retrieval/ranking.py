"""Average precision of retrieval by the Oxford protocol (Philbin et al., 2007).

Shapes: N pictures of the database, Q queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KAPPAS = (1, 5, 10)


@dataclass(frozen=True)
class Relevance:
    """What a query should find: numbers of pictures that match, and of those that count neither way."""

    ok: Sequence[int]
    junk: Sequence[int]


@dataclass(frozen=True)
class RetrievalResult:
    """Average precision per query, NaN for a query that nothing matches, and means over the others.

    Args:
        mean_average_precision: NaN if nothing matches any query.
        average_precision_Q: per query.
        precision_at: number of first results -> mean share of matches among them.
    """

    mean_average_precision: float
    average_precision_Q: NDArray[np.float64]
    precision_at: dict[int, float]


def rank_by_scores(scores_NQ: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return per query the numbers of the pictures by falling score, N x Q; equal scores in their order."""
    return np.argsort(-scores_NQ, axis=0, kind="stable")


def evaluate_ranking(
    ranking_NQ: NDArray[np.int64], relevance_Q: Sequence[Relevance], kappas: Sequence[int] = KAPPAS
) -> RetrievalResult:
    """Return the average precision of a ranking, with junk taken out of it."""
    positions = [_positions(ranking_NQ[:, q], relevance) for q, relevance in enumerate(relevance_Q)]
    precision = np.array(
        [_average_precision(found, len(r.ok)) for found, r in zip(positions, relevance_Q, strict=True)]
    )
    answered = [found for found in positions if len(found)]
    at = {k: _mean([_precision_at(found, k) for found in answered]) for k in kappas}
    return RetrievalResult(_mean(precision[~np.isnan(precision)]), precision, at)


def _positions(ranking_N: NDArray[np.int64], relevance: Relevance) -> NDArray[np.int64]:
    """Return how many pictures that are not junk stand before each match."""
    is_match_N = np.isin(ranking_N, np.asarray(relevance.ok, dtype=np.int64))
    is_junk_N = np.isin(ranking_N, np.asarray(relevance.junk, dtype=np.int64))
    places = np.flatnonzero(is_match_N)
    return places - np.cumsum(is_junk_N)[places]


def _average_precision(positions: NDArray[np.int64], matches: int) -> float:
    """Return the area under precision over recall, by trapezoids."""
    if not matches:
        return np.nan
    found = np.arange(len(positions))
    before = np.where(positions == 0, 1.0, found / np.maximum(positions, 1))
    after = (found + 1) / (positions + 1)
    return float((before + after).sum() / (2 * matches))


def _precision_at(positions: NDArray[np.int64], kappa: int) -> float:
    """Return the share of matches among the first results; a query with few matches is cut at its last one."""
    last = min(int(positions.max()) + 1, kappa)
    return float(np.count_nonzero(positions < last) / last)


def _mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    return float(np.mean(values)) if len(values) else np.nan
