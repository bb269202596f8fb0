"""What a training works with, as a configuration names it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch.optim import Optimizer
from yacs.config import CfgNode

from os2d.data.catalog import data_root
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.device import prepare_device
from os2d.engine.evaluation import EvaluationSet, build_evaluation_sets
from os2d.engine.initial_weights import load_start_weights
from os2d.engine.optimisation import build_optimizer, set_lr, trainable_parameters
from os2d.engine.training_state import load_optimizer
from os2d.modeling.network import Os2d, build_os2d
from os2d.run import Run


@dataclass(frozen=True)
class TrainingParts:
    """What a training works with; the network is on its device."""

    model: Os2d
    optimizer: Optimizer
    dataset: DatasetOneShotDetection
    evaluation_sets: Sequence[EvaluationSet]


def build_parts(config: CfgNode, run: Run) -> TrainingParts:
    """Return the parts that a configuration names, with the weights to start from."""
    model, optimizer = build_network(config, run)
    dataset = build_dataset(config.train.dataset_name, data_root(config), cache_images=config.train.cache_images)
    return TrainingParts(model, optimizer, dataset, build_evaluation_sets(config, dataset))


def build_network(config: CfgNode, run: Run) -> tuple[Os2d, Optimizer]:
    """Return the network on its device, and its optimiser, as they are before the first step."""
    device = prepare_device(config)
    model = build_os2d(config)
    optimizer_state = load_start_weights(model, config, run)
    model.to(device)
    optimizer = build_optimizer(trainable_parameters(model), config.train.optim)
    if optimizer_state:
        load_optimizer(optimizer, optimizer_state, config.init.model)
        set_lr(optimizer, config.train.optim.lr)
    return model, optimizer
