"""The tasks of OneNet as planners see them; nothing here imports torch."""

from __future__ import annotations

from yacs.config import CfgNode

from baselines.onenet.config import NEUTRAL_KEYS, default_config
from baselines.onenet.config_check import check_evaluation, check_training
from baselines.onenet.data.fingerprint import dataset_fingerprints
from baselines.onenet.weights_path import find_weights, missing_weights, weights_path
from os2d.data.fingerprint import weights_fingerprint
from os2d.run import Task


def _training_fingerprints(config: CfgNode) -> dict[str, str]:
    return dataset_fingerprints(config, reads_train_sets=True) | _weights_fingerprint(config)


def _evaluation_fingerprints(config: CfgNode) -> dict[str, str]:
    return dataset_fingerprints(config, reads_train_sets=False) | _weights_fingerprint(config)


def _weights_fingerprint(config: CfgNode) -> dict[str, str]:
    key, weights = "MODEL.WEIGHTS", config.MODEL.WEIGHTS
    if not weights:
        return {}
    if not weights_path(weights).exists():
        return {key: missing_weights(weights)}
    return {key: weights_fingerprint(key, find_weights(weights))}


train = Task(
    function="baselines.onenet.engine.training:train_task",
    default_config=default_config,
    code_version="1",
    validate=check_training,
    fingerprints=_training_fingerprints,
    seed_key="SEED",
    neutral_keys=NEUTRAL_KEYS,
)
"""Train, evaluating now and then; see :mod:`baselines.onenet.engine.training`."""

evaluate = Task(
    function="baselines.onenet.engine.evaluation_task:evaluate_task",
    default_config=default_config,
    code_version="1",
    validate=check_evaluation,
    fingerprints=_evaluation_fingerprints,
    seed_key="SEED",
    neutral_keys=NEUTRAL_KEYS,
)
"""Evaluate a trained or loaded network; see :mod:`baselines.onenet.engine.evaluation_task`."""
