"""Descriptors of files, and the test of a network on a prepared data set.

Shapes: N pictures, Q queries, D channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from baselines.detector_retrieval.retrieval.crops import Box
from baselines.detector_retrieval.retrieval.descriptors import ONE_SCALE, describe_all
from baselines.detector_retrieval.retrieval.network import RetrievalNetwork
from baselines.detector_retrieval.retrieval.prepared import Pictures, TestSet
from baselines.detector_retrieval.retrieval.ranking import RetrievalResult, evaluate_ranking, rank_by_scores
from baselines.detector_retrieval.retrieval.whitening import Whitening
from os2d.data.batch_loader import BatchLoader
from os2d.data.images import read_image_size

PREFETCH = 8
"""Pictures that each loader process prepares ahead."""


def _go_on() -> None:
    """Never interrupt."""


@dataclass(frozen=True)
class Extraction:
    """How files become descriptors.

    Args:
        network: in evaluation mode.
        image_size: longer side of a picture, at most.
        num_workers: processes that load pictures.
        between: called between two pictures; it may raise to end the work.
    """

    network: RetrievalNetwork
    image_size: int
    num_workers: int = 0
    between: Callable[[], None] = _go_on

    def __call__(
        self, files: Sequence[Path], scales: Sequence[float] = ONE_SCALE, boxes: Sequence[Box] | None = None
    ) -> Tensor:
        """Return the descriptors of pictures or parts of them in their order, N x D.

        They are loaded in the order of their sizes, so that pictures of one size pass together.
        """
        pictures = self.pictures(files, boxes)
        order = sorted(range(len(files)), key=lambda i: self._seen_size(files[i]))
        found_ND = describe_all(self.network, self._loaded(pictures, order), scales)
        places = torch.tensor(order, dtype=torch.int64, device=found_ND.device)
        return torch.empty_like(found_ND).index_copy_(0, places, found_ND)

    def pictures(self, files: Sequence[Path], boxes: Sequence[Box] | None = None) -> Pictures:
        """Return the pictures as the network sees them."""
        description = self.network.description
        return Pictures(files, self.image_size, description.mean, description.std, boxes)

    def _seen_size(self, file: Path) -> tuple[int, int]:
        """Return the width and height at which the network sees a picture, give or take a pixel."""
        size = read_image_size(file)
        factor = min(1.0, self.image_size / max(size.w, size.h))
        return round(size.w * factor), round(size.h * factor)

    def _loaded(self, pictures: Pictures, order: Sequence[int]) -> Iterator[Tensor]:
        on_gpu = next(self.network.parameters()).is_cuda
        for picture in BatchLoader(pictures, order, self.num_workers, pin_memory=on_gpu, prefetch=PREFETCH):
            self.between()
            yield picture


@dataclass(frozen=True, eq=False)
class TestDescriptors:
    """Descriptors of a test set: of its pictures and of its queries."""

    __test__ = False  # pytest would take it for a test

    picture_ND: Tensor
    query_QD: Tensor

    def whitened(self, whitening: Whitening) -> TestDescriptors:
        """Return the descriptors after a whitening."""
        return TestDescriptors(whitening(self.picture_ND), whitening(self.query_QD))

    def result(self, test: TestSet) -> RetrievalResult:
        """Return how well the queries find what they should."""
        scores_NQ = self.picture_ND @ self.query_QD.T
        return evaluate_ranking(rank_by_scores(scores_NQ.float().cpu().numpy()), test.relevance)


def describe_test_set(extract: Extraction, test: TestSet, scales: Sequence[float] = ONE_SCALE) -> TestDescriptors:
    """Return the descriptors of a test set."""
    of_files = partial(extract, scales=scales)
    return TestDescriptors(of_files(test.files), of_files(test.query_files, boxes=test.query_boxes))
