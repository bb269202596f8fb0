"""The tuples of an epoch as numbers of pictures, drawn and mined.

Shapes: T tuples, S pictures per tuple (query, positive, negatives), N pictures, Q queries, D channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.detector_retrieval.retrieval.extraction import Extraction
from baselines.detector_retrieval.retrieval.mining import Draw, draw_epoch, hardest_negatives
from baselines.detector_retrieval.retrieval.prepared import TrainingSet

TUPLES_AT_ONCE = 1000
"""The descriptors of so many tuples are in memory together."""

Loss = Callable[[Tensor], Tensor]
"""Descriptors of tuples, T x S x D, to the sum of their losses."""


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
    needed = torch.cat([draw.query_Q, draw.pool_N]).unique()
    vectors_ND = extract([pictures.files[number] for number in needed.tolist()])
    row_of_picture = torch.full((len(pictures.files),), -1)
    row_of_picture[needed] = torch.arange(len(needed))
    return _with_negatives(draw, pictures.cluster_N, vectors_ND, row_of_picture, negatives)


def validation_loss(
    extract: Extraction, pictures: TrainingSet, negatives: int, generator: torch.Generator, loss: Loss, multiple: int
) -> float:
    """Return the mean loss of all pairs with the negatives that look most alike among all pictures.

    Every picture passes the network once: its descriptor serves the search and the loss. As in training, only a
    ``multiple`` of tuples counts, where there are so many.
    """
    everything, pairs = len(pictures.files), len(pictures.query_M)
    draw = draw_epoch(pictures.query_M, pictures.positive_M, everything, pairs, everything, generator)
    vectors_ND = extract(pictures.files)
    found = _with_negatives(draw, pictures.cluster_N, vectors_ND, torch.arange(everything), negatives)
    counted_TS = found.picture_TS[: pairs // multiple * multiple or pairs].to(vectors_ND.device)
    parts = [loss(vectors_ND[picture_TS]).double() for picture_TS in counted_TS.split(TUPLES_AT_ONCE)]
    return float(torch.stack(parts).sum()) / len(counted_TS)


def _with_negatives(
    draw: Draw, cluster_N: Tensor, vectors_ND: Tensor, row_of_picture: Tensor, negatives: int
) -> Tuples:
    device = vectors_ND.device
    query_QD, pool_ND = (vectors_ND[row_of_picture[of].to(device)] for of in (draw.query_Q, draw.pool_N))
    query_cluster, pool_cluster = (cluster_N[of].to(device) for of in (draw.query_Q, draw.pool_N))
    found_TK, distance_TK = hardest_negatives(query_QD, query_cluster, pool_ND, pool_cluster, negatives)
    negative_TK = draw.pool_N[found_TK.cpu()]
    picture_TS = torch.cat([draw.query_Q[:, None], draw.positive_Q[:, None], negative_TK], dim=1)
    return Tuples(picture_TS, float(distance_TK.mean()))
