"""The tasks of detector + retrieval as planners see them; nothing here imports torch.

They build on each other by needs: ``retrieval_train`` takes its data from the need ``data`` (a ``retrieval_prepare``),
``retrieval_whiten`` its data from ``data`` and its network from ``retrieval`` (a ``retrieval_train``). The evaluation
of both together, ``joint_evaluate``, takes its parts from ``detector`` (a ``detector_train``), ``retrieval`` and
possibly ``whitening``.
"""

from __future__ import annotations

from baselines.detector_retrieval.detector import config as detector
from baselines.detector_retrieval.detector import config_check as detector_check
from baselines.detector_retrieval.detector import fingerprints as detector_fingerprints
from baselines.detector_retrieval.joint import config as joint
from baselines.detector_retrieval.joint import config_check as joint_check
from baselines.detector_retrieval.retrieval import config as retrieval
from baselines.detector_retrieval.retrieval import config_check as retrieval_check
from os2d.run import Task

detector_train = Task(
    function="baselines.detector_retrieval.detector.training:train_task",
    default_config=detector.default_config,
    code_version="1",
    validate=detector_check.check_training,
    fingerprints=detector_fingerprints.fingerprints,
    neutral_keys=detector.NEUTRAL_KEYS,
)
"""Train the detector, evaluating it now and then."""

detector_evaluate = Task(
    function="baselines.detector_retrieval.detector.evaluation_task:evaluate_task",
    default_config=detector.default_config,
    code_version="1",
    validate=detector_check.check_evaluation,
    fingerprints=detector_fingerprints.evaluation_fingerprints,
    neutral_keys=detector.NEUTRAL_KEYS,
)
"""Evaluate the detector of the need ``detector``, or a loaded one."""

retrieval_prepare = Task(
    function="baselines.detector_retrieval.retrieval.preparation_task:prepare_task",
    default_config=retrieval.preparation_config,
    code_version="1",
    validate=retrieval_check.check_preparation,
    fingerprints=retrieval_check.preparation_fingerprints,
    neutral_keys=retrieval.NEUTRAL_KEYS,
)
"""Cut detection data sets into pictures for retrieval, and list which match."""

retrieval_train = Task(
    function="baselines.detector_retrieval.retrieval.training:train_task",
    default_config=retrieval.training_config,
    code_version="1",
    validate=retrieval_check.check_training,
    fingerprints=retrieval_check.training_fingerprints,
    neutral_keys=retrieval.NEUTRAL_KEYS,
)
"""Train a retrieval network, testing it before every epoch."""

retrieval_whiten = Task(
    function="baselines.detector_retrieval.retrieval.whitening_task:whiten_task",
    default_config=retrieval.whitening_config,
    code_version="1",
    validate=retrieval_check.check_whitening,
    fingerprints=retrieval_check.whitening_fingerprints,
    neutral_keys=retrieval.NEUTRAL_KEYS,
)
"""Learn a whitening of a network's descriptors from the pairs of a data set."""

joint_evaluate = Task(
    function="baselines.detector_retrieval.joint.evaluation_task:evaluate_task",
    default_config=joint.default_config,
    code_version="1",
    validate=joint_check.check,
    fingerprints=joint_check.fingerprints,
    neutral_keys=joint.NEUTRAL_KEYS,
)
"""Evaluate what the detector proposes and the retrieval network tells apart."""
