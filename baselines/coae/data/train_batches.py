"""Training batches as a pure function of their number, so that a resumed training sees what it would have seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from yacs.config import CfgNode

from baselines.coae.data.batch_order import BatchOrder, Group
from baselines.coae.data.records import ImageRecord, Records, class_probabilities
from baselines.coae.data.train_samples import Sample, draw_sample, make_sample
from baselines.coae.modeling.model import TrainBatch
from os2d.data.batch_loader import BatchLoader
from os2d.data.dataset import DatasetOneShotDetection

ORDER, SAMPLES, REGIONS = 0, 1, 2
"""Streams of random numbers: the order of an epoch, the samples of a batch, the regions that a step learns from."""


def random_stream(seed: int, stream: int, number: int) -> np.random.Generator:
    """Return the generator for one purpose and one epoch or step."""
    return np.random.default_rng([seed & 0xFFFFFFFF, stream, number])


class TrainBatches:
    """Number of a step -> its batch.

    Args:
        dataset: at least one image with a box.
        config: the whole configuration tree.
        seed: of every random choice.

    Raises:
        DataError: there is no box to train on.
    """

    def __init__(self, dataset: DatasetOneShotDetection, config: CfgNode, seed: int) -> None:
        self.records = Records(dataset)
        self.images: list[ImageRecord] = self.records.training_images(with_mirrored=config.train.random_flip)
        self.order = BatchOrder([record.size for record in self.images], config.train.batch_size)
        self.probability_K = class_probabilities(self.images, len(self.records.class_ids))
        self.train = config.train
        self.query_size = config.model.query_size
        self.seed = seed

    @property
    def per_epoch(self) -> int:
        """How many batches show every image once; the last one may be incomplete."""
        return len(self.order)

    def group(self, number: int) -> Group:
        """Return which images make a batch."""
        epoch, position = divmod(number, self.per_epoch)
        return self.order.of_epoch(random_stream(self.seed, ORDER, epoch))[position]

    def __getitem__(self, number: int) -> TrainBatch:
        group, rng = self.group(number), random_stream(self.seed, SAMPLES, number)
        return collate([self._sample(self.images[member], group.ratio, rng) for member in group.members])

    def _sample(self, record: ImageRecord, ratio: float, rng: np.random.Generator) -> Sample:
        draws = draw_sample(rng, record, self.train.scales, self.probability_K, mirrors_queries=self.train.random_flip)
        return make_sample(self.records, record, draws, ratio, self.query_size, self.train.max_boxes)


def collate(samples: Sequence[Sample]) -> TrainBatch:
    """Return samples as one batch; images of different scales are padded to the largest, and keep their own sizes."""
    height, width = (max(sample.image_3hw.shape[axis] for sample in samples) for axis in (1, 2))
    return TrainBatch(
        images_B3HW=torch.stack([_padded(sample.image_3hw, height, width) for sample in samples]),
        queries_B3hw=torch.stack([sample.query_3ss for sample in samples]),
        sizes_B2=torch.tensor([sample.image_3hw.shape[1:] for sample in samples], dtype=torch.float32),
        truth_BG4=torch.stack([sample.boxes_G4 for sample in samples]),
        is_query_BG=torch.stack([sample.is_query_G for sample in samples]),
    )


def build_train_loader(batches: TrainBatches, config: CfgNode, start: int, stop: int) -> BatchLoader[TrainBatch]:
    """Return the batches ``start`` to ``stop - 1``."""
    workers = config.runtime.num_workers
    return BatchLoader(batches, range(start, stop), workers, pin_memory=config.is_cuda, prefetch=2)


def _padded(image_3hw: Tensor, height: int, width: int) -> Tensor:
    return pad(image_3hw, (0, width - image_3hw.shape[2], 0, height - image_3hw.shape[1]))
