"""The tuples of an epoch: pairs drawn at random, with the negatives that look most alike (Radenovic et al., 2018).

Shapes: Q queries, N images of the pool, K negatives per query, L clusters, D channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from os2d.errors import DataError

QUERIES_AT_ONCE = 256
"""The scores of so many queries with the whole pool are in memory together."""

EPSILON = 1e-6
"""Added to differences, as in the loss."""


@dataclass(frozen=True, eq=False)
class Draw:
    """What an epoch works with, as numbers of images: pairs, and the pool of possible negatives."""

    query_Q: Tensor
    positive_Q: Tensor
    pool_N: Tensor


def draw_epoch(
    query_pool: Tensor, positive_pool: Tensor, images: int, queries: int, pool: int, generator: torch.Generator
) -> Draw:
    """Draw pairs, then images, each without replacement; all of them where there are fewer."""
    pairs_Q = torch.randperm(len(query_pool), generator=generator)[:queries]
    pool_N = torch.randperm(images, generator=generator)[:pool]
    return Draw(query_pool[pairs_Q], positive_pool[pairs_Q], pool_N)


def hardest_negatives(
    query_QD: Tensor, cluster_Q: Tensor, pool_ND: Tensor, pool_cluster_N: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Return for every query the best-scoring places in the pool, at most one per cluster and none of its own, Q x K.

    The second tensor holds their distances from the query. Clusters may be any whole numbers.

    Raises:
        DataError: the pool has too few clusters.
    """
    clusters_L, number_N = pool_cluster_N.unique(return_inverse=True)
    others_Q = len(clusters_L) - torch.isin(cluster_Q, clusters_L).long()
    if len(query_QD) and int(others_Q.min()) < count:
        raise DataError(
            f"mining: expected images of at least {count} other clusters for every query, the pool has "
            f"{int(others_Q.min())}; lower train.negatives, or prepare more classes or random crops"
        )
    places = [
        _hardest(vectors, cluster, pool_ND, clusters_L, number_N, count)
        for vectors, cluster in zip(query_QD.split(QUERIES_AT_ONCE), cluster_Q.split(QUERIES_AT_ONCE), strict=True)
    ]
    place_QK = torch.cat([torch.empty(0, count, dtype=torch.int64, device=pool_ND.device), *places])
    return place_QK, _distances(query_QD, pool_ND, place_QK)


def _hardest(
    query_QD: Tensor, cluster_Q: Tensor, pool_ND: Tensor, clusters_L: Tensor, number_N: Tensor, count: int
) -> Tensor:
    ranking_QN = (query_QD @ pool_ND.T).argsort(dim=1, descending=True, stable=True)
    ranks_QN = torch.arange(len(number_N), device=number_N.device).expand_as(ranking_QN)
    beyond = len(number_N)
    first_QL = torch.full((len(query_QD), len(clusters_L)), beyond, device=number_N.device)
    first_QL.scatter_reduce_(1, number_N[ranking_QN], ranks_QN, "amin")  # where each cluster first appears
    first_QL.masked_fill_(cluster_Q[:, None] == clusters_L, beyond)
    rank_QK = first_QL.topk(count, dim=1, largest=False, sorted=True).values
    return ranking_QN.gather(1, rank_QK)


def _distances(query_QD: Tensor, pool_ND: Tensor, place_QK: Tensor) -> Tensor:
    """Return the distance of every negative from its query, one column of negatives at a time."""
    columns = [(query_QD - pool_ND[place_Q] + EPSILON).norm(dim=1) for place_Q in place_QK.unbind(dim=1)]
    return torch.stack(columns, dim=1) if columns else query_QD.new_empty(place_QK.shape)
