"""The tasks of the detector as planners see them; nothing here imports torch."""

from __future__ import annotations

from baselines.detector_retrieval.detector.config import NEUTRAL_KEYS, default_config
from baselines.detector_retrieval.detector.config_check import check_evaluation, check_training
from baselines.detector_retrieval.detector.fingerprints import evaluation_fingerprints, fingerprints
from os2d.run import Task

detector_train = Task(
    function="baselines.detector_retrieval.detector.training:train_task",
    default_config=default_config,
    code_version="1",
    validate=check_training,
    fingerprints=fingerprints,
    neutral_keys=NEUTRAL_KEYS,
)
"""Train the detector, evaluating it now and then."""

detector_evaluate = Task(
    function="baselines.detector_retrieval.detector.evaluation_task:evaluate_task",
    default_config=default_config,
    code_version="1",
    validate=check_evaluation,
    fingerprints=evaluation_fingerprints,
    neutral_keys=NEUTRAL_KEYS,
)
"""Evaluate the detector of the need ``detector``, or a loaded one."""
