"""The task of evaluating a detector and a retrieval network together."""

from __future__ import annotations

from pathlib import Path

import torch
from yacs.config import CfgNode

from baselines.detector_retrieval.detector.evaluation_task import DETECTOR_INPUT
from baselines.detector_retrieval.detector.model import Detector
from baselines.detector_retrieval.detector.weights import load_detector, trained_checkpoint
from baselines.detector_retrieval.joint.config_check import detector_config
from baselines.detector_retrieval.joint.evaluation import Retriever, evaluate_joint
from baselines.detector_retrieval.kept_files import kept_file
from baselines.detector_retrieval.retrieval.device import prepare_device
from baselines.detector_retrieval.retrieval.needs import WHITENING_FILE, WHITENING_INPUT, network_file
from baselines.detector_retrieval.retrieval.weights import load_network
from baselines.detector_retrieval.retrieval.whitening import MULTI_SCALE, SINGLE_SCALE, Whitening, load_whitening
from os2d.distributed import process_group
from os2d.engine.evaluation import build_evaluation_sets, metrics_by_name, times_by_name
from os2d.engine.final_report import report
from os2d.engine.training_cost import PARAMETERS, count_parameters, told_costs
from os2d.errors import CheckpointError, ConfigError
from os2d.run import Run


def evaluate_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Evaluate on the data sets of ``eval`` and return the metrics by their names in the log."""
    with process_group(config.is_cuda):
        device = prepare_device(config)
        detector = load_proposer(config, run, device)
        retriever = load_retriever(config, run, device)
        sets = build_evaluation_sets(config)
        evaluations = evaluate_joint(detector, retriever, sets, config, run)
        metrics = metrics_by_name(evaluations)
        run.log({**metrics, **times_by_name(evaluations), **told_costs(run.inputs)}, 0)
        report(evaluations, sets, config, run)
        return {**metrics, PARAMETERS: float(count_parameters(detector, retriever.network))}


def load_retriever(config: CfgNode, run: Run, device: torch.device) -> Retriever:
    """Return the retrieval network of the need ``retrieval`` or the configured one, with its whitening if any.

    Raises:
        ConfigError: no network is given.
        CheckpointError: a file cannot be read or does not fit.
    """
    joint = config.joint
    network = load_network(network_file("joint.retrieval_network", joint.retrieval_network, run)).to(device)
    whitening = _whitening(config, run)
    channels = network.description.channels
    if whitening is not None and len(whitening.mean_D) != channels:
        raise CheckpointError(
            f"joint.retrieval_whitening: expected a whitening of {channels} channels, as the network has, got one of "
            f"{len(whitening.mean_D)}; learn it for this network"
        )
    return Retriever(network, joint.retrieval_image_size, joint.retrieval_multiscale, whitening, joint.boxes_at_once)


def _whitening(config: CfgNode, run: Run) -> Whitening | None:
    kind = MULTI_SCALE if config.joint.retrieval_multiscale else SINGLE_SCALE
    if WHITENING_INPUT in run.inputs:
        return load_whitening(kept_file(run.inputs[WHITENING_INPUT], WHITENING_FILE), kind)
    if config.joint.retrieval_whitening:
        return load_whitening(Path(config.joint.retrieval_whitening).expanduser(), kind)
    return None


def load_proposer(config: CfgNode, run: Run, device: torch.device) -> Detector:
    """Return the detector of the need ``detector`` or the configured one.

    Raises:
        ConfigError: no weights are given.
        CheckpointError: they cannot be read or do not fit.
    """
    if DETECTOR_INPUT in run.inputs:
        weights = trained_checkpoint(run.inputs[DETECTOR_INPUT])
    elif config.joint.detector_weights:
        weights = Path(config.joint.detector_weights).expanduser()
    else:
        raise ConfigError(
            f"joint.detector_weights: expected the weights of a detector, or a need named {DETECTOR_INPUT!r} that "
            "trains it; got neither"
        )
    return load_detector(detector_config(config), weights, device)
