"""The task of evaluating a detector that needs no training."""

from __future__ import annotations

from yacs.config import CfgNode

from baselines.detector_retrieval.detector.classes import ObjectClasses
from baselines.detector_retrieval.detector.config import is_cuda
from baselines.detector_retrieval.detector.device import prepare_device
from baselines.detector_retrieval.detector.evaluation import build_evaluation_sets, evaluate
from baselines.detector_retrieval.detector.model import build_detector
from baselines.detector_retrieval.detector.training_set import build_training_set
from baselines.detector_retrieval.detector.weights import load_init_model, load_start_weights, trained_checkpoint
from os2d.distributed import process_group
from os2d.engine.evaluation import metrics_by_name, times_by_name
from os2d.errors import ConfigError
from os2d.run import Run

DETECTOR_INPUT = "detector"
"""The need through which a task gets the network of a finished training."""


def evaluate_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Evaluate on ``DATASETS.TEST`` and return the metrics by their names in the log.

    The network is that of the finished run ``detector`` if the task needs one, else that of ``MODEL.WEIGHT``.

    Raises:
        ConfigError: no network is given.
    """
    if DETECTOR_INPUT not in run.inputs and not config.MODEL.WEIGHT:
        raise ConfigError(
            f"MODEL.WEIGHT: expected the weights of a detector, or a need named {DETECTOR_INPUT!r} that trains it; "
            "got neither"
        )
    with process_group(is_cuda(config)):
        device = prepare_device(config)
        num_classes = config.MODEL.ROI_BOX_HEAD.NUM_CLASSES
        classes = ObjectClasses.of(num_classes, build_training_set(config)) if num_classes else ObjectClasses(None)
        detector = build_detector(config, classes.count)
        if DETECTOR_INPUT in run.inputs:
            load_init_model(detector, trained_checkpoint(run.inputs[DETECTOR_INPUT]))
        else:
            load_start_weights(detector, config)
        evaluations = evaluate(detector.to(device), build_evaluation_sets(config), classes, config, run)
        metrics = metrics_by_name(evaluations)
        run.log({**metrics, **times_by_name(evaluations)}, 0)
        return metrics
