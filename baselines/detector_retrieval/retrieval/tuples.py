"""The tuples of an epoch as numbers of pictures, drawn and mined.

Shapes: T tuples, S pictures per tuple (query, positive, negatives).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.detector_retrieval.retrieval.extraction import Extraction
from baselines.detector_retrieval.retrieval.mining import draw_epoch, hardest_negatives
from baselines.detector_retrieval.retrieval.prepared import TrainingSet


@dataclass(frozen=True, eq=False)
class Tuples:
    """Numbers of pictures, and the mean distance of the negatives from their queries."""

    picture_TS: Tensor
    negative_distance: float


def mine_tuples(
    extract: Extraction, pictures: TrainingSet, queries: int, pool: int, negatives: int, generator: torch.Generator
) -> Tuples:
    """Draw pairs and a pool, and return each pair with the pictures of the pool that look most like its query.

    Args:
        extract: with the network as it is now.
        pictures: the training set.
        queries: pairs to draw; all of them where there are fewer.
        pool: pictures to draw; likewise.
        negatives: per pair.
        generator: source of both draws, in this order.
    """
    draw = draw_epoch(pictures.query_M, pictures.positive_M, len(pictures.files), queries, pool, generator)
    needed, place = torch.cat([draw.query_Q, draw.pool_N]).unique(return_inverse=True)
    described = extract([pictures.files[number] for number in needed.tolist()])
    place = place.to(described.device)
    query_QD, pool_ND = described[place[: len(draw.query_Q)]], described[place[len(draw.query_Q) :]]
    clusters = pictures.cluster_N.to(described.device)
    query_cluster, pool_cluster = clusters[draw.query_Q], clusters[draw.pool_N]
    found_TK, distance_TK = hardest_negatives(query_QD, query_cluster, pool_ND, pool_cluster, negatives)
    negative_TK = draw.pool_N[found_TK.cpu()]
    picture_TS = torch.cat([draw.query_Q[:, None], draw.positive_Q[:, None], negative_TK], dim=1)
    return Tuples(picture_TS, float(distance_TK.mean()))
