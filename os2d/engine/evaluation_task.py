"""The task of evaluating a network that needs no training."""

from __future__ import annotations

from yacs.config import CfgNode

from os2d.device import prepare_device
from os2d.distributed import process_group
from os2d.engine.evaluation import build_evaluation_sets, evaluate_model, metrics_by_name, times_by_name
from os2d.engine.final_report import PICTURED_IMAGES, report
from os2d.engine.initial_weights import load_start_weights
from os2d.engine.training_cost import PARAMETERS, count_parameters, told_costs
from os2d.modeling.network import Os2d, build_os2d
from os2d.run import Run


def evaluate_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Evaluate on the data sets of ``eval`` and return the metrics by their names in the log.

    The network is that of the finished run ``model`` if the task needs one, else that of ``init.model``, else fresh.
    """
    with process_group(config.is_cuda):
        device = prepare_device(config)
        model = build_os2d(config)
        load_start_weights(model, config, run)
        return evaluate_and_report(model.to(device), config, run)


def evaluate_and_report(model: Os2d, config: CfgNode, run: Run) -> dict[str, float]:
    """Evaluate a network on the data sets of ``eval``, log at step 0, leave pictures and tables, return the metrics."""
    sets = build_evaluation_sets(config)
    evaluations = evaluate_model(model, sets, config, run, PICTURED_IMAGES)
    metrics = metrics_by_name(evaluations)
    costs = {**told_costs(run.inputs), PARAMETERS: float(count_parameters(model))}
    run.log({**metrics, **times_by_name(evaluations), **costs}, 0)
    report(evaluations, sets, config, run)
    return metrics
