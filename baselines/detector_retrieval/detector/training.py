"""Training of the detector: steps, evaluations between them, and everything that survives an interruption.

Batches and draws are functions of their number, so the state of a training is its iteration, the network, the
optimiser and the best network so far. Resumed on a CPU, it continues bit for bit. Processes have their own batches and
average their gradients; the first one writes the state down.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from math import inf, isfinite, nan
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from yacs.config import CfgNode

from baselines.detector_retrieval.detector.classes import ObjectClasses
from baselines.detector_retrieval.detector.config import is_cuda
from baselines.detector_retrieval.detector.device import prepare_device
from baselines.detector_retrieval.detector.evaluation import build_evaluation_sets, evaluate
from baselines.detector_retrieval.detector.evaluation_task import evaluate_task
from baselines.detector_retrieval.detector.model import build_detector
from baselines.detector_retrieval.detector.schedule import Schedule, build_optimizer
from baselines.detector_retrieval.detector.train_batches import TrainBatch, TrainBatches, build_train_loader
from baselines.detector_retrieval.detector.training_set import build_training_set
from baselines.detector_retrieval.detector.weights import BEST_FILE, FINAL_FILE, load_start_weights
from os2d.distributed import (
    any_of,
    process_group,
    rank,
    sum_gradients,
    sum_over_processes,
    take_state_of_first,
    wait_for_all,
    world_size,
)
from os2d.engine.evaluation import metrics_by_name, times_by_name
from os2d.engine.guarded_update import update_if
from os2d.engine.training_cost import TrainingClock, keep_cost
from os2d.errors import TrainingDivergedError
from os2d.metric_names import at_iou, on_dataset, running
from os2d.modeling.weights_file import on_cpu
from os2d.randomness import numbered_generator
from os2d.run import Run

logger = logging.getLogger(__name__)

_DRAW = 2  # stream of random numbers: anchors and proposals of a batch; 0 and 1 are the batches' own

LOG_PERIOD = 20
"""So many steps share one line of the log, and one wait for the device."""


def train_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Train as configured and return the metrics of the last evaluation and the best ones."""
    if config.SOLVER.MAX_ITER == 0:
        return evaluate_task(config, run)
    with process_group(is_cuda(config)):
        training = DetectorTraining(config, run)
        state = run.resume()
        if state is not None:
            training.load_state_dict(state)
        wait_for_all()  # before the first process writes the next state, every one has read this one
        return training.to_the_end()


class DetectorTraining:
    """A training between two steps."""

    def __init__(self, config: CfgNode, run: Run) -> None:
        self.config, self.run = config, run
        self.device = prepare_device(config)
        training_set = build_training_set(config)
        self.classes = ObjectClasses.of(config.MODEL.ROI_BOX_HEAD.NUM_CLASSES, training_set)
        self.test_sets = build_evaluation_sets(config)
        self.schedule = Schedule.from_config(config.SOLVER, world_size())
        self.batches = TrainBatches(training_set, self.classes, config, run.seed, self.schedule.images_per_process)
        self.detector = build_detector(config, self.classes.count)
        load_start_weights(self.detector, config)
        self.detector.to(self.device)
        take_state_of_first(self.detector)
        self.parameters = [p for p in self.detector.parameters() if p.requires_grad]
        self.optimizer = build_optimizer(self.detector.named_parameters(), config.SOLVER, self.schedule.base_lr)
        self.iteration, self.evaluated_at = 0, -1
        self.best_value, self.best_iteration = -inf, -1
        self.last_metrics: dict[str, float] = {}
        self._losses: dict[str, Tensor] = {}
        self._steps = 0
        self.clock = TrainingClock()
        self._saved_at = time.monotonic()

    @property
    def monitored(self) -> str:
        """The name of the metric that chooses the best network."""
        return on_dataset(at_iou("mAP", 0.5), self.test_sets[0].name)

    @property
    def final_metrics(self) -> dict[str, float]:
        """The metrics of the last evaluation and the best ones."""
        best = self.best_value if isfinite(self.best_value) else nan
        return {**self.last_metrics, f"best_{self.monitored}": best, "best_iteration": self.best_iteration}

    def to_the_end(self) -> dict[str, float]:
        """Go on until the last evaluation is done."""
        while self.iteration < self.schedule.max_iter:
            self._evaluate_and_keep()
            period = self.config.SOLVER.VALIDATION_PERIOD
            stop = min(self.schedule.max_iter, (self.iteration // period + 1) * period)
            numbers = range(self.iteration * world_size() + rank(), stop * world_size(), world_size())
            for batch in build_train_loader(self.batches, numbers, self.config):
                self._step(batch)
        self._evaluate_and_keep()
        self.run.save(self._network(), self.iteration, name=FINAL_FILE)
        self.run.log(keep_cost(self.run, self.clock, self.detector), self.iteration)
        return self.final_metrics

    def _evaluate_and_keep(self) -> None:
        """Evaluate before this step, unless that was done, and keep the network if it is the best one so far."""
        if self.evaluated_at == self.iteration:
            return
        if self.iteration:
            self._save()
        with self.clock.paused():
            evaluations = evaluate(self.detector, self.test_sets, self.classes, self.config, self.run)
        self.last_metrics = metrics_by_name(evaluations)
        self.run.log({**self.last_metrics, **times_by_name(evaluations)}, self.iteration)
        value = self.last_metrics[self.monitored]
        if value > self.best_value:
            self.best_value, self.best_iteration = value, self.iteration
            self.run.save(self._network(), self.iteration, name=BEST_FILE)
        self.evaluated_at = self.iteration

    def _step(self, batch: TrainBatch) -> None:
        if self.iteration % self.config.SOLVER.CHECKPOINT_PERIOD == 0:
            self.run.save(self._network(), self.iteration, name=f"model_{self.iteration:07d}.pth")
        self.detector.train()
        self.schedule.set_lr(self.optimizer, self.iteration)
        images, objects = batch.to(self.device)
        draws = numbered_generator(self.run.seed, _DRAW, self.iteration * world_size() + rank())
        losses = self.detector.losses(self.detector.to_batch(images), objects, draws)
        self.optimizer.zero_grad()
        (torch.stack(list(losses.values())).sum() / world_size()).backward()
        sum_gradients(self.parameters)
        norm = get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        update_if(torch.isfinite(norm), self.optimizer, lambda: None)  # a diverged step must not reach a checkpoint
        self.iteration += 1
        self._tell(losses)
        self.run.progress(self.iteration, self.schedule.max_iter)
        if any_of(self.run.should_stop):
            self._save()
            self.run.interrupt()
        if time.monotonic() - self._saved_at > self.config.runtime.checkpoint_seconds:
            self._save()

    def _tell(self, losses: Mapping[str, Tensor]) -> None:
        """Add up the losses and now and then log their means.

        Raises:
            TrainingDivergedError: they are no numbers any more.
        """
        self._losses = {name: self._losses.get(name, 0.0) + loss.detach() for name, loss in losses.items()}
        self._steps += 1
        if self.iteration % LOG_PERIOD and self.iteration != self.schedule.max_iter:
            return
        sums = sum_over_processes(torch.stack(list(self._losses.values()))) / (self._steps * world_size())
        means = dict(zip(self._losses, sums.tolist(), strict=True))
        means["loss"] = sum(means.values())
        if not isfinite(means["loss"]):
            text = ", ".join(f"{name} {value:.4f}" for name, value in means.items())
            raise TrainingDivergedError(
                f"step {self.iteration}: the loss is no longer a finite number ({text}); set a smaller SOLVER.BASE_LR "
                f"(now {self.config.SOLVER.BASE_LR}) or a longer SOLVER.WARMUP_ITERS"
            )
        if rank() == 0:
            text = ", ".join(f"{name} {value:.4f}" for name, value in means.items())
            logger.info("step %d of %d: %s", self.iteration, self.schedule.max_iter, text)
        self.run.log({running(name): value for name, value in means.items()}, self.iteration)
        self._losses, self._steps = {}, 0

    def _network(self) -> dict[str, Any]:
        """Return the network in the layout of published checkpoints."""
        model, optimizer = self.detector.state_dict(), self.optimizer.state_dict()
        return on_cpu({"model": model, "optimizer": optimizer, "iteration": self.iteration})

    def _save(self) -> None:
        self.run.save(self.state_dict(), self.iteration)
        self._saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values from which :meth:`load_state_dict` goes on."""
        return {
            **self._network(),
            "evaluated_at": self.evaluated_at,
            "best_value": self.best_value,
            "best_iteration": self.best_iteration,
            "last_metrics": self.last_metrics,
            "losses": {name: float(value) for name, value in self._losses.items()},
            "steps": self._steps,
            "training_time": self.clock.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.detector.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.iteration, self.evaluated_at = state["iteration"], state["evaluated_at"]
        self.best_value, self.best_iteration = state["best_value"], state["best_iteration"]
        self.last_metrics = dict(state["last_metrics"])
        self._losses = {name: torch.tensor(value, device=self.device) for name, value in state["losses"].items()}
        self._steps = state["steps"]
        self.clock.go_on_from(state.get("training_time", 0.0))
        logger.info("going on after step %d of %d", self.iteration, self.schedule.max_iter)
