"""The task of evaluating a network that needs no training."""

from __future__ import annotations

import torch
from yacs.config import CfgNode

from baselines.coae.engine.evaluation import build_evaluation_sets, evaluate_model
from baselines.coae.engine.final_report import report
from baselines.coae.engine.start_weights import load_start_weights
from baselines.coae.modeling.model import build_coae
from os2d.device import prepare_device
from os2d.distributed import process_group
from os2d.engine.evaluation import metrics_by_name, times_by_name
from os2d.engine.training_cost import PARAMETERS, count_parameters, told_costs
from os2d.run import Run


def evaluate_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Evaluate on the data sets of ``eval`` and return the metrics by their names in the log.

    The network is that of the finished run ``model`` if the task needs one, else that of ``init.model``, else fresh.
    """
    with process_group(config.is_cuda):
        device = prepare_device(config)
        model = build_coae(config, torch.Generator().manual_seed(config.random_seed))
        load_start_weights(model, config, run)
        sets = build_evaluation_sets(config)
        evaluations = evaluate_model(model.to(device), sets, config, run)
        metrics = metrics_by_name(evaluations)
        costs = {**told_costs(run.inputs), PARAMETERS: float(count_parameters(model))}
        run.log({**metrics, **times_by_name(evaluations), **costs}, 0)
        report(evaluations, sets, run)
        return metrics
