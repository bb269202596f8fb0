"""Whitening learned from descriptors, applied after the network (Mikolajczyk and Matas, 2007).

Shapes: N descriptors, M pairs, D channels, K channels that remain.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from os2d.errors import CheckpointError, DataError
from os2d.modeling.weights_file import load_weights

logger = logging.getLogger(__name__)

EPSILON = 1e-6
"""Added to the length of a whitened descriptor."""
FIRST_DIAGONAL = 1e-10
"""Added to a covariance that is not positive definite, then ten times more until it is."""

SINGLE_SCALE, MULTI_SCALE = "ss", "ms"


@dataclass(frozen=True, eq=False)
class Whitening:
    """A linear map of descriptors: ``projection_KD (x - mean_D)``, then length 1."""

    mean_D: Tensor
    projection_KD: Tensor

    def __call__(self, vectors_ND: Tensor, channels: int | None = None) -> Tensor:
        """Return the whitened descriptors, N x K, or only their first channels."""
        centred_ND = vectors_ND - self.mean_D.to(vectors_ND)
        whitened_NK = centred_ND @ self.projection_KD[:channels].to(vectors_ND).T
        length_N1: Tensor = whitened_NK.norm(dim=1, keepdim=True)
        return whitened_NK / (length_N1 + EPSILON)

    def content(self) -> dict[str, Tensor]:
        """Return what a file of the retrieval toolbox holds: ``m`` (D x 1) and ``P`` (K x D)."""
        return {"m": self.mean_D[:, None], "P": self.projection_KD}

    @classmethod
    def of_content(cls, content: dict[str, Any]) -> Whitening:
        """Return the whitening of :meth:`content`."""
        return cls(content["m"].flatten(), content["P"])


def learn_whitening(vectors_ND: Tensor, query_M: Tensor, positive_M: Tensor) -> Whitening:
    """Return the whitening that makes the differences of matching pairs white and the rest uncorrelated.

    Computed as the descriptors are given; float64 keeps the digits that single precision loses in the inverse. The
    signs of the rows of the projection are arbitrary.

    Raises:
        DataError: there is no pair.
    """
    if not len(query_M):
        raise DataError("whitening: expected at least one pair of a query and a positive, got none")
    mean_D = vectors_ND[query_M].mean(dim=0)
    differences_MD = vectors_ND[query_M] - vectors_ND[positive_M]
    factor_DD = _cholesky(differences_MD.T @ differences_MD / len(differences_MD))
    within_ND = torch.linalg.solve_triangular(factor_DD, (vectors_ND - mean_D).T, upper=False).T
    _, vectors_DD = _eigenvectors(within_ND.T @ within_ND)
    identity = torch.eye(len(factor_DD), dtype=factor_DD.dtype, device=factor_DD.device)
    return Whitening(mean_D, vectors_DD.T @ torch.linalg.solve_triangular(factor_DD, identity, upper=False))


def learn_pca_whitening(vectors_ND: Tensor) -> Whitening:
    """Return the whitening by the principal components of the descriptors alone."""
    mean_D = vectors_ND.mean(dim=0)
    centred_ND = vectors_ND - mean_D
    values_D, vectors_DD = _eigenvectors(centred_ND.T @ centred_ND / len(centred_ND))
    return Whitening(mean_D, vectors_DD.T / values_D.sqrt()[:, None])


def load_whitening(path: Path, kind: str) -> Whitening:
    """Return a stored whitening.

    Args:
        path: of a file with an entry per kind.
        kind: ``ss`` for descriptors of one scale, ``ms`` of several.

    Raises:
        CheckpointError: the file cannot be read or does not have the kind.
    """
    content = load_weights(path)
    found = content.get(kind)
    if not isinstance(found, dict) or not {"m", "P"} <= found.keys():
        raise CheckpointError(
            f"{path}: expected a whitening under {kind!r} with 'm' and 'P', found {', '.join(map(str, content))}; "
            "learn one for this network (the task retrieval_whiten), for one scale and for several"
        )
    return Whitening.of_content(found)


def _eigenvectors(symmetric_DD: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues, falling, and their vectors as columns."""
    values_D, vectors_DD = torch.linalg.eigh((symmetric_DD + symmetric_DD.T) / 2)
    return values_D.flip(0), vectors_DD.flip(1)


def _cholesky(covariance_DD: Tensor) -> Tensor:
    """Return the lower factor of a covariance, made positive definite where it is not."""
    added = 0.0
    factor_DD: Tensor
    identity = torch.eye(len(covariance_DD), dtype=covariance_DD.dtype, device=covariance_DD.device)
    while True:
        factor_DD, failed = torch.linalg.cholesky_ex(covariance_DD + added * identity)
        if not failed:
            return factor_DD
        added = added * 10 if added else FIRST_DIAGONAL
        if not torch.isfinite(covariance_DD).all() or added > 1e10:
            raise DataError("whitening: the covariance of the pairs is not finite; a descriptor is NaN or infinite")
        logger.warning("whitening: the covariance is not positive definite, adding %.0e to its diagonal", added)
