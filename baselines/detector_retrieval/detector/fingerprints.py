"""Hashes of what a detector's configuration reads from disk.

Light on purpose (no torch): planners ask too.
"""

from __future__ import annotations

from yacs.config import CfgNode

from baselines.detector_retrieval.detector.catalog import weights_path
from os2d.data.catalog import data_root
from os2d.data.fingerprint import dataset_fingerprint, weights_fingerprint


def fingerprints(config: CfgNode) -> dict[str, str]:
    """Return name -> hash of every data set and weights file that a training reads."""
    return _fingerprints(config, [*config.DATASETS.TRAIN, *config.DATASETS.TEST])


def evaluation_fingerprints(config: CfgNode) -> dict[str, str]:
    """Return the same for an evaluation; one with classes reads the training set too, for their numbers."""
    training_set = config.DATASETS.TRAIN if config.MODEL.ROI_BOX_HEAD.NUM_CLASSES else ()
    return _fingerprints(config, [*training_set, *config.DATASETS.TEST])


def _fingerprints(config: CfgNode, names: list[str]) -> dict[str, str]:
    found = {name: dataset_fingerprint(name, data_root(config)) for name in names}
    if config.MODEL.WEIGHT:
        found["MODEL.WEIGHT"] = weights_fingerprint("MODEL.WEIGHT", weights_path(config.MODEL.WEIGHT))
    return found
