"""Training for scripts that bring their own data sets and network, by the name of the published program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch.optim import Optimizer
from yacs.config import CfgNode

from os2d.console import ConsoleRun
from os2d.data.dataloader import EvalDataloader, TrainDataloader
from os2d.device import prepare_device
from os2d.engine.evaluation import EvaluationSet, evaluate_model, metrics_by_name
from os2d.engine.final_report import PICTURED_IMAGES, report
from os2d.engine.optimisation import build_optimizer, trainable_parameters
from os2d.engine.training import Training, TrainingParts, train_to_the_end
from os2d.errors import ConfigError
from os2d.metric_names import best_model_metric
from os2d.modeling.network import Os2d
from os2d.modeling.objective import Os2dObjective


def trainval_loop(
    dataloader_train: TrainDataloader,
    net: Os2d,
    cfg: CfgNode,
    criterion: Os2dObjective | None = None,
    optimizer: Optimizer | None = None,
    dataloaders_eval: Sequence[EvalDataloader] = (),
) -> dict[str, float]:
    """Train, evaluating now and then, and return the metrics of the last evaluation.

    What ``main.py`` keeps is kept in ``output.path``: checkpoints, the log, pictures. The same call goes on with a
    training that was interrupted there. Without ``train.do_training`` it only evaluates.

    Args:
        dataloader_train: of :func:`~os2d.data.dataloader.build_train_dataloader_from_config`.
        net: of :func:`~os2d.modeling.model.build_os2d_from_config`; it is trained in place.
        cfg: the whole configuration tree.
        criterion: the objective; None: that of ``train.objective``.
        optimizer: over the trainable parameters of the network; None: that of ``train.optim``.
        dataloaders_eval: of :func:`~os2d.data.dataloader.build_eval_dataloaders_from_cfg`.

    Raises:
        ConfigError: the configuration asks for something that these data sets do not have.
    """
    device = prepare_device(cfg)
    net.to(device)
    cfg = dataloader_train.configured(cfg)
    sets = [EvaluationSet(loader.dataset, loader.dataset_scale) for loader in dataloaders_eval]
    folder = Path(cfg.output.path) if cfg.output.path else None
    with ConsoleRun(folder, cfg.random_seed) as run:
        if not cfg.train.do_training or cfg.train.optim.max_iter == 0:
            evaluations = evaluate_model(net, sets, cfg, run, PICTURED_IMAGES)
            report(evaluations, sets, cfg, run)
            return metrics_by_name(evaluations)
        _check_monitored(cfg, sets)
        if folder is not None:
            run.keep_config(cfg)
        optimizer = optimizer or build_optimizer(trainable_parameters(net), cfg.train.optim)
        training = Training(cfg, run, TrainingParts(net, optimizer, dataloader_train.dataset, sets))
        training.objective = criterion or training.objective
        return train_to_the_end(training, run)


def _check_monitored(cfg: CfgNode, sets: Sequence[EvaluationSet]) -> None:
    """Refuse to look for the best model on a data set that is not evaluated."""
    if not cfg.output.best_model.do_get_best_model:
        return
    names = [evaluated.dataset.name for evaluated in sets]
    dataset, _ = best_model_metric(cfg)
    if dataset not in names:
        raise ConfigError(
            f"output.best_model.dataset: expected one of the evaluated data sets ({', '.join(names) or 'none'}), got "
            f"{dataset!r}"
        )
