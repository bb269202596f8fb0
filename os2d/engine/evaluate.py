"""Evaluation for scripts that bring their own data sets and network, by the name of the published program."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path

from yacs.config import CfgNode

from os2d.console import ConsoleRun
from os2d.data.dataloader import EvalDataloader
from os2d.device import prepare_device
from os2d.engine.evaluation import EvaluationSet, evaluate_dataset
from os2d.engine.final_report import PICTURED_IMAGES, per_class_table, report
from os2d.metric_names import EVALUATION_TIME
from os2d.modeling.network import Os2d
from os2d.modeling.objective import Os2dObjective

logger = logging.getLogger(__name__)


def evaluate(
    dataloader: EvalDataloader,
    net: Os2d,
    cfg: CfgNode,
    criterion: Os2dObjective | None = None,
    print_per_class_results: bool = False,
) -> OrderedDict[str, float]:
    """Return the metrics of a network on one data set, such as ``mAP@0.50``, and ``eval_time`` in seconds.

    With ``output.path``, pictures and a table per class are kept below it in ``artifacts/``.

    Args:
        dataloader: one of :func:`~os2d.data.dataloader.build_eval_dataloaders_from_cfg`.
        net: the network, left in evaluation mode.
        cfg: the whole configuration tree.
        criterion: its terms are averaged over the images; None: the objective of ``train.objective``.
        print_per_class_results: log a line per class too.
    """
    net.to(prepare_device(cfg))
    cfg = dataloader.configured(cfg)
    evaluated = EvaluationSet(dataloader.dataset, dataloader.dataset_scale)
    objective = criterion or Os2dObjective.from_config(cfg)
    folder = Path(cfg.output.path) if cfg.output.path else None
    with ConsoleRun(folder, cfg.random_seed) as run:
        evaluation = evaluate_dataset(net, objective, evaluated, cfg, run, PICTURED_IMAGES)
        report({dataloader.get_name(): evaluation}, [evaluated], cfg, run)
    if print_per_class_results:
        logger.info("per class:\n%s", per_class_table(evaluation.per_class))
    return OrderedDict([*evaluation.metrics.items(), (EVALUATION_TIME, evaluation.seconds)])
