"""The tasks of the retrieval network as planners see them; nothing here imports torch.

They build on each other by needs: ``retrieval_train`` takes its data from the need ``data`` (a ``retrieval_prepare``),
``retrieval_whiten`` its data from ``data`` and its network from ``retrieval`` (a ``retrieval_train``).
"""

from __future__ import annotations

from baselines.detector_retrieval.retrieval import config, config_check
from os2d.run import Task

retrieval_prepare = Task(
    function="baselines.detector_retrieval.retrieval.preparation_task:prepare_task",
    default_config=config.preparation_config,
    code_version="1",
    validate=config_check.check_preparation,
    fingerprints=config_check.preparation_fingerprints,
    neutral_keys=config.NEUTRAL_KEYS,
)
"""Cut detection data sets into pictures for retrieval, and list which match."""

retrieval_train = Task(
    function="baselines.detector_retrieval.retrieval.training:train_task",
    default_config=config.training_config,
    code_version="1",
    validate=config_check.check_training,
    fingerprints=config_check.training_fingerprints,
    neutral_keys=config.NEUTRAL_KEYS,
)
"""Train a retrieval network, testing it before every epoch."""

retrieval_whiten = Task(
    function="baselines.detector_retrieval.retrieval.whitening_task:whiten_task",
    default_config=config.whitening_config,
    code_version="1",
    validate=config_check.check_whitening,
    fingerprints=config_check.whitening_fingerprints,
    neutral_keys=config.NEUTRAL_KEYS,
)
"""Learn a whitening of a network's descriptors from the pairs of a data set."""
