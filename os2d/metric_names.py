"""What the measured quantities are called.

Light on purpose (no torch): planners check names before anything runs.
"""

from __future__ import annotations

from yacs.config import CfgNode

from os2d.data.catalog import CUSTOM, data_root, find_dataset
from os2d.modeling.loss_names import objective_names

VOC_METRICS = ("mAP", "mAPw", "recall", "AP_joint_classes", "AP_pooled_classes")
EVALUATION_TIME = "eval_time"


def at_iou(metric: str, iou_threshold: float) -> str:
    """Return the name of a VOC metric, such as ``mAP@0.50``."""
    return f"{metric}@{iou_threshold:.2f}"


def on_dataset(metric: str, dataset: str) -> str:
    """Return the name under which a metric of one data set is logged, such as ``mAP@0.50_grozi-val-new-cl``."""
    return f"{metric}_{dataset}"


def running(meter: str) -> str:
    """Return the name under which the mean of a training meter since the last evaluation is logged."""
    return f"{meter}_running"


def evaluation_names(config: CfgNode) -> tuple[str, ...]:
    """Return the names of the metrics of one data set that can be monitored."""
    voc = tuple(at_iou(metric, t) for t in config.eval.mAP_iou_thresholds for metric in VOC_METRICS)
    return voc + objective_names(config.train.objective)


def evaluated_datasets(config: CfgNode) -> dict[str, str]:
    """Return configured name -> name in metric names, for every data set of ``eval`` and the training subset."""
    names = {name: _display_name(name, config) for name in config.eval.dataset_names if name}
    if config.eval.train_subset_for_eval_size > 0:
        subset = f"-subset{config.eval.train_subset_for_eval_size}"
        names[config.train.dataset_name + subset] = _display_name(config.train.dataset_name, config) + subset
    return names


def best_model_metric(config: CfgNode) -> tuple[str, str]:
    """Return the display name of the data set and the metric that choose the best model."""
    names = evaluated_datasets(config)
    chosen = config.output.best_model.dataset
    return names.get(chosen, chosen.lower()) if chosen else next(iter(names.values())), config.output.best_model.metric


def _display_name(name: str, config: CfgNode) -> str:
    return find_dataset(name, data_root(config)).name if name.lower().startswith(CUSTOM) else name.lower()
