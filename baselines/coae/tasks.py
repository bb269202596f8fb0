"""The tasks of CoAE as planners see them; nothing here imports torch."""

from __future__ import annotations

from pathlib import Path

from yacs.config import CfgNode

from baselines.coae.config import NEUTRAL_KEYS, default_config
from baselines.coae.config_check import check_evaluation, check_training
from os2d.data.catalog import data_root
from os2d.data.fingerprint import dataset_fingerprint, weights_fingerprint
from os2d.run import Task


def _training_fingerprints(config: CfgNode) -> dict[str, str]:
    train = config.train.dataset_name
    return {train: dataset_fingerprint(train, data_root(config)), **_evaluation_fingerprints(config)}


def _evaluation_fingerprints(config: CfgNode) -> dict[str, str]:
    found = {name: dataset_fingerprint(name, data_root(config)) for name in config.eval.dataset_names}
    if config.init.model:
        found["init.model"] = weights_fingerprint("init.model", Path(config.init.model))
    return found


train = Task(
    function="baselines.coae.engine.training:train_task",
    default_config=default_config,
    code_version="1",
    validate=check_training,
    fingerprints=_training_fingerprints,
    neutral_keys=NEUTRAL_KEYS,
)
"""Train, evaluating now and then; see :mod:`baselines.coae.engine.training`."""

evaluate = Task(
    function="baselines.coae.engine.evaluation_task:evaluate_task",
    default_config=default_config,
    code_version="1",
    validate=check_evaluation,
    fingerprints=_evaluation_fingerprints,
    neutral_keys=NEUTRAL_KEYS,
)
"""Evaluate a trained, loaded or fresh network; see :mod:`baselines.coae.engine.evaluation_task`."""
