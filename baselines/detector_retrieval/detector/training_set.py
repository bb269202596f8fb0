"""The data set a detector is trained on."""

from __future__ import annotations

from yacs.config import CfgNode

from os2d.data.catalog import data_root
from os2d.data.dataset import DatasetOneShotDetection, build_dataset


def build_training_set(config: CfgNode) -> DatasetOneShotDetection:
    """Return the one data set of ``DATASETS.TRAIN``."""
    [name] = config.DATASETS.TRAIN
    return build_dataset(name, data_root(config), cache_images=config.DATALOADER.CACHE_IMAGES)
