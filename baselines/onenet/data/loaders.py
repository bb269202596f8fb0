"""Training and test images, prepared ahead by worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from yacs.config import CfgNode

from baselines.onenet.config import is_cuda
from baselines.onenet.data.catalog import find_source
from baselines.onenet.data.coco_dataset import CocoDataset
from baselines.onenet.data.coco_file import read_coco
from baselines.onenet.data.order import TrainingOrder, generator_of_place
from baselines.onenet.data.sample import Sample, evaluation_sample, training_sample
from os2d.data.batch_loader import BatchLoader
from os2d.errors import ConfigError

PREFETCH = 2
"""Batches that each worker prepares ahead."""


class TrainingImages:
    """Batch number -> samples, a function of the configuration alone.

    Args:
        datasets: of ``DATASETS.TRAIN``, with the same classes.
        config: the whole configuration tree.
        rank: of this process.
        world_size: number of processes.
    """

    def __init__(self, datasets: Sequence[CocoDataset], config: CfgNode, rank: int, world_size: int) -> None:
        self.config = config
        self.datasets = list(datasets)
        places = [(d, k) for d, dataset in enumerate(datasets) for k in _positions(dataset, config)]
        self.images = np.asarray(places)  # a list would be copied into every worker, bit by bit
        sizes = [datasets[d].sizes[k] for d, k in places]
        self.order = TrainingOrder(
            np.asarray([size.w > size.h for size in sizes]),
            config.SOLVER.IMS_PER_BATCH // world_size,
            config.SEED,
            rank,
            world_size,
            grouped=config.DATALOADER.ASPECT_RATIO_GROUPING,
        )

    def __getitem__(self, number: int) -> list[Sample]:
        return [self._sample(*draw) for draw in self.order[number]]

    def _sample(self, place: int, image: int) -> Sample:
        dataset, position = self.images[image].tolist()
        generator = generator_of_place(self.config.SEED, place)
        return training_sample(self.datasets[dataset], position, self.config, generator)


class TestImages:
    """Position of an image -> a batch of this image alone: padding would change what is found in it."""

    def __init__(self, dataset: CocoDataset, config: CfgNode) -> None:
        self.dataset, self.config = dataset, config

    def __getitem__(self, number: int) -> list[Sample]:
        return [evaluation_sample(self.dataset, number, self.config)]


def build_train_loader(
    config: CfgNode, rank: int = 0, world_size: int = 1, start_iteration: int = 0
) -> Iterator[list[Sample]]:
    """Return the batches of one process from an iteration to ``SOLVER.MAX_ITER``.

    Raises:
        ConfigError: the configuration does not fit the data.
        DataError: the data cannot be used.
    """
    datasets = read_training_datasets(config)
    for dataset in datasets:
        dataset.check_images_exist()
    images = TrainingImages(datasets, config, rank, world_size)
    numbers = range(start_iteration, max(config.SOLVER.MAX_ITER, start_iteration))
    return iter(
        BatchLoader(images, numbers, config.DATALOADER.NUM_WORKERS, pin_memory=is_cuda(config), prefetch=PREFETCH)
    )


def build_test_loader(config: CfgNode, name: str, rank: int = 0, world_size: int = 1) -> BatchLoader[list[Sample]]:
    """Return every ``world_size``-th image of a data set, one by one.

    Raises:
        ConfigError: the configuration does not fit the data.
        DataError: the data cannot be used.
    """
    dataset = read_for(config, name)
    return test_loader(dataset, config, range(rank, len(dataset), world_size))


def test_loader(dataset: CocoDataset, config: CfgNode, positions: Sequence[int]) -> BatchLoader[list[Sample]]:
    """Return the images at some positions of a data set, one by one.

    Raises:
        DataError: an image file is missing.
    """
    dataset.check_images_exist()
    images, workers = TestImages(dataset, config), config.DATALOADER.NUM_WORKERS
    return BatchLoader(images, positions, workers, pin_memory=is_cuda(config), prefetch=PREFETCH)


def read_training_datasets(config: CfgNode) -> list[CocoDataset]:
    """Return the data sets of ``DATASETS.TRAIN``.

    Raises:
        ConfigError: there is none, or they do not have the classes of the network.
        DataError: a file is wrong.
    """
    if not config.DATASETS.TRAIN:
        raise ConfigError("DATASETS.TRAIN: expected at least one data set to train on, got none")
    datasets = [read_for(config, name) for name in config.DATASETS.TRAIN]
    for other in datasets[1:]:
        if other.class_names != datasets[0].class_names:
            raise ConfigError(
                f"DATASETS.TRAIN: expected the same classes in all data sets, but {datasets[0].source.name} has "
                f"{datasets[0].class_names} and {other.source.name} has {other.class_names}"
            )
    return datasets


def check_test_sets(config: CfgNode) -> None:
    """Refuse what could not be evaluated after hours of training.

    Raises:
        ConfigError: the network does not have the classes of ``DATASETS.TEST``.
        DataError: a file is wrong or missing.
    """
    for name in config.DATASETS.TEST:
        read_for(config, name).check_images_exist()


def read_for(config: CfgNode, name: str) -> CocoDataset:
    """Return a data set for the network of a configuration.

    Raises:
        ConfigError: the network does not have as many classes as the data set.
        DataError: the file is wrong, or shows nothing.
    """
    dataset = read_coco(find_source(name, config))
    dataset.check_has_objects()
    if len(dataset.category_ids) != config.MODEL.OneNet.NUM_CLASSES:
        raise ConfigError(
            f"MODEL.OneNet.NUM_CLASSES: expected {len(dataset.category_ids)}, the classes of {name}, got "
            f"{config.MODEL.OneNet.NUM_CLASSES}"
        )
    return dataset


def _positions(dataset: CocoDataset, config: CfgNode) -> list[int]:
    """Return the images to train on."""
    if config.DATALOADER.FILTER_EMPTY_ANNOTATIONS:
        return np.flatnonzero(dataset.with_objects()).tolist()
    return list(range(len(dataset)))
