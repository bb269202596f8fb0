"""The optimiser and the annealing of its learning rate.

Annealing runs once per evaluation; every duration of the configuration is in iterations and counts in evaluations,
rounded up.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from torch import nn
from torch.optim import (
    ASGD,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Optimizer,
    RMSprop,
    Rprop,
)
from torch.optim.lr_scheduler import ReduceLROnPlateau
from yacs.config import CfgNode

from os2d.choices import choose
from os2d.errors import ConfigError

OPTIMISERS: Mapping[str, Callable[[list[nn.Parameter], CfgNode], Optimizer]] = {
    "sgd": lambda p, o: SGD(p, lr=o.lr, weight_decay=o.weight_decay, momentum=o.sgd_momentum, fused=_fused(p)),
    "adagrad": lambda p, o: Adagrad(p, lr=o.lr, weight_decay=o.weight_decay),
    "adadelta": lambda p, o: Adadelta(p, lr=o.lr, weight_decay=o.weight_decay),
    "adam": lambda p, o: Adam(p, lr=o.lr, weight_decay=o.weight_decay, fused=_fused(p)),
    "adamax": lambda p, o: Adamax(p, lr=o.lr, weight_decay=o.weight_decay),
    "adamw": lambda p, o: AdamW(p, lr=o.lr, weight_decay=o.weight_decay, fused=_fused(p)),
    "rmsprop": lambda p, o: RMSprop(p, lr=o.lr, weight_decay=o.weight_decay),
    "asgd": lambda p, o: ASGD(p, lr=o.lr, t0=5000, weight_decay=o.weight_decay),
    "rprop": lambda p, o: Rprop(p, lr=o.lr),
}


def _fused(parameters: list[nn.Parameter]) -> bool | None:
    """Take the optimiser that can skip a step on the device where waiting for the device costs time: on a GPU."""
    return True if parameters and all(p.is_cuda for p in parameters) else None


def trainable_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that learn, each once, in the order of the model."""
    return [p for p in model.parameters() if p.requires_grad]


def build_optimizer(parameters: Iterable[nn.Parameter], optim: CfgNode) -> Optimizer:
    """Return the optimiser of ``train.optim`` over the parameters that require a gradient.

    Raises:
        ConfigError: for an unknown ``optim_method``.
    """
    build = choose("train.optim.optim_method", optim.optim_method, OPTIMISERS)
    return build([p for p in parameters if p.requires_grad], optim)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Give every parameter group this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def current_lr(optimizer: Optimizer) -> float:
    """Return the learning rate of the first parameter group."""
    return float(optimizer.param_groups[0]["lr"])


class Annealing(Protocol):
    """A rule for the learning rate, applied once per evaluation."""

    def step(self, iteration: int, monitored: float | None) -> float:
        """Update the optimiser after the 0-based ``iteration`` and return the learning rate.

        ``monitored`` is the watched quantity at the evaluation before this one: at the time of the call the present
        one is not on record yet.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return plain values from which :meth:`load_state_dict` goes on."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""


def build_annealing(optimizer: Optimizer, anneal: CfgNode, evaluation_interval: int) -> Annealing:
    """Return the rule of ``train.optim.anneal_lr`` for an optimiser whose learning rate is the initial one.

    Raises:
        ConfigError: for an unknown ``type``.
    """
    return choose("train.optim.anneal_lr.type", str(anneal.type), ANNEALINGS)(optimizer, anneal, evaluation_interval)


class ConstantLR:
    """No annealing."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def step(self, iteration: int, monitored: float | None) -> float:
        """Return the learning rate as it is."""
        return current_lr(self.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: there is no state."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take nothing."""


class MultiStepLR:
    """Multiply the learning rate by ``gamma`` at every milestone."""

    def __init__(self, optimizer: Optimizer, anneal: CfgNode, evaluation_interval: int) -> None:
        self.optimizer = optimizer
        self.gamma = anneal.gamma
        self.milestones = [_in_evaluations(m, evaluation_interval) for m in anneal.milestones]
        self.evaluations = 0

    def step(self, iteration: int, monitored: float | None) -> float:
        """Count one evaluation."""
        self.evaluations += 1
        for group in self.optimizer.param_groups:
            group["lr"] *= self.gamma ** self.milestones.count(self.evaluations)
        return current_lr(self.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of evaluations so far."""
        return {"evaluations": self.evaluations}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from that number."""
        self.evaluations = state["evaluations"]


class PlateauLR:
    """Reduce the learning rate when the median of the last values of a quantity stops improving."""

    def __init__(self, optimizer: Optimizer, anneal: CfgNode, evaluation_interval: int) -> None:
        self.optimizer = optimizer
        self.initial_patience = anneal.initial_patience
        self.window_length = max(1, _in_evaluations(anneal.quantity_smoothness, evaluation_interval))
        self.window: list[float] = []
        self.scheduler = ReduceLROnPlateau(
            optimizer,
            mode=anneal.quantity_mode,
            factor=anneal.reduce_factor,
            patience=_in_evaluations(anneal.patience, evaluation_interval),
            threshold=anneal.quantity_epsilon,
            threshold_mode="rel",
            cooldown=_in_evaluations(anneal.cooldown, evaluation_interval),
            min_lr=anneal.min_value,
        )

    def step(self, iteration: int, monitored: float | None) -> float:
        """Take the monitored value into the window; look at its median once the initial patience is over."""
        if monitored is None:
            raise ConfigError(
                "train.optim.anneal_lr.quantity_to_monitor: no evaluation reports this quantity; "
                "take a name of the log such as mAP@0.50_<data set of eval.dataset_names>"
            )
        self.window = [*self.window, monitored][-self.window_length :]
        if iteration > self.initial_patience:
            self.scheduler.step(statistics.median(self.window))
        return current_lr(self.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Return the window and what the scheduler has seen."""
        scheduler = self.scheduler
        return {
            "window": list(self.window),
            "best": float(scheduler.best),
            "bad_evaluations": scheduler.num_bad_epochs,
            "cooldown_left": scheduler.cooldown_counter,
            "calls": scheduler.last_epoch,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.window = list(state["window"])
        self.scheduler.best = state["best"]
        self.scheduler.num_bad_epochs = state["bad_evaluations"]
        self.scheduler.cooldown_counter = state["cooldown_left"]
        self.scheduler.last_epoch = state["calls"]


ANNEALINGS: Mapping[str, Callable[[Optimizer, CfgNode, int], Annealing]] = {
    "none": lambda optimizer, anneal, interval: ConstantLR(optimizer),
    "MultiStepLR": MultiStepLR,
    "ReduceLROnPlateau": PlateauLR,
}


def _in_evaluations(iterations: int, evaluation_interval: int) -> int:
    return -(-iterations // evaluation_interval)
