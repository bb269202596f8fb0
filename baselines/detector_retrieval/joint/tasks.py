"""The task of evaluating detector and retrieval network together, as planners see it; nothing here imports torch.

It takes its parts from the needs ``detector`` (a ``detector_train``) and ``retrieval`` (a ``retrieval_train``), and
possibly a ``whitening`` (a ``retrieval_whiten``).
"""

from __future__ import annotations

from baselines.detector_retrieval.joint.config import NEUTRAL_KEYS, default_config
from baselines.detector_retrieval.joint.config_check import check, fingerprints
from os2d.run import Task

joint_evaluate = Task(
    function="baselines.detector_retrieval.joint.evaluation_task:evaluate_task",
    default_config=default_config,
    code_version="1",
    validate=check,
    fingerprints=fingerprints,
    neutral_keys=NEUTRAL_KEYS,
)
"""Evaluate what the detector proposes and the retrieval network tells apart."""
