"""The tasks of OS2D as planners see them; nothing here imports torch."""

from __future__ import annotations

from os2d.config import NEUTRAL_KEYS, default_config
from os2d.config_check import check_evaluation, check_training
from os2d.data.fingerprint import evaluation_fingerprints, fingerprints
from os2d.run import Task

train = Task(
    function="os2d.engine.training:train_task",
    default_config=default_config,
    code_version="1",
    validate=check_training,
    fingerprints=fingerprints,
    neutral_keys=NEUTRAL_KEYS,
)
"""Train, evaluating now and then; see :mod:`os2d.engine.training`."""

evaluate = Task(
    function="os2d.engine.evaluation_task:evaluate_task",
    default_config=default_config,
    code_version="1",
    validate=check_evaluation,
    fingerprints=evaluation_fingerprints,
    neutral_keys=NEUTRAL_KEYS,
)
"""Evaluate a trained, loaded or fresh network; see :mod:`os2d.engine.evaluation_task`."""

initialise = Task(
    function="os2d.engine.initialisation:initialise_task",
    default_config=default_config,
    code_version="1",
    validate=check_training,
    fingerprints=evaluation_fingerprints,
    neutral_keys=NEUTRAL_KEYS,
)
"""Save and evaluate what a training starts from; see :mod:`os2d.engine.initialisation`."""
