"""Training: iterations, evaluations between them, and everything that survives an interruption.

Batches are a function of their number and nothing draws from a global random generator, so the state of a training is
its iteration, the network, the optimiser and a few counters. Resumed on a CPU, it continues bit for bit. The state has
the layout of published checkpoints, which are resumed too.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from yacs.config import CfgNode

from baselines.onenet.config import is_cuda
from baselines.onenet.config_check import check_processes
from baselines.onenet.data.loaders import build_train_loader, check_test_sets
from baselines.onenet.data.sample import Sample
from baselines.onenet.engine.averaging import build_average
from baselines.onenet.engine.device import prepare_device
from baselines.onenet.engine.evaluation_task import evaluate_test_sets
from baselines.onenet.engine.guards import DivergenceGuard
from baselines.onenet.engine.optimisation import build_optimizer
from baselines.onenet.engine.schedule import BASE_LR, set_lr
from baselines.onenet.engine.start_weights import FINAL, checkpoint_name, load_start_weights
from baselines.onenet.engine.training_step import TrainingStep, training_precision
from baselines.onenet.modeling.losses import Criterion
from baselines.onenet.modeling.model import build_model
from os2d.distributed import any_of, process_group, take_state_of_first, wait_for_all
from os2d.engine.meters import Meters
from os2d.engine.optimisation import current_lr
from os2d.engine.training_state import resume_optimizer
from os2d.engine.training_step import DeferredOutcome, build_scaler
from os2d.metric_names import running
from os2d.modeling.weights_file import on_cpu
from os2d.run import Run

logger = logging.getLogger(__name__)

LOG_PERIOD = 20
"""Iterations between two lines of the log."""


def train_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Train as configured and return the metrics of the last evaluation."""
    with process_group(is_cuda(config)):
        check_test_sets(config)
        return train_to_the_end(Training(config, run))


def train_to_the_end(training: Training) -> dict[str, float]:
    """Go on where the run was left, if it was, and return the metrics of the last evaluation."""
    state = training.run.resume()
    if state is not None:
        training.load_state_dict(state)
    wait_for_all()  # before the first process writes the next state, every one has read this one
    batches = training.batches()
    while True:
        if training.evaluation_is_due:
            training.evaluate()
        if training.is_finished:
            return training.last_metrics
        started = time.perf_counter()
        samples = next(batches)
        training.step(samples, time.perf_counter() - started)


@dataclass(frozen=True)
class _TakenStep:
    """An iteration whose numbers may not have arrived yet."""

    iteration: int
    lr: float
    outcome: DeferredOutcome
    started: float
    loading_seconds: float


class Training:
    """A training between two iterations."""

    def __init__(self, config: CfgNode, run: Run) -> None:
        check_processes(config, run.world_size)
        self.config, self.run, self.solver = config, run, config.SOLVER
        device = prepare_device(config)
        self.model = build_model(config)
        load_start_weights(self.model, config, run)
        self.model.to(device).train()
        take_state_of_first(self.model)
        self.optimizer = build_optimizer(self.model, self.solver)
        self.scaler = build_scaler(training_precision(self.solver), device)
        self.take_step = TrainingStep(self.model, Criterion(config), self.optimizer, self.solver, self.scaler)
        self.average = build_average(self.model, config)
        self.guard = DivergenceGuard()
        self.meters = Meters()
        self.iteration = 0
        self.evaluated_at = -1
        self.last_metrics: dict[str, float] = {}
        self._unread: _TakenStep | None = None
        self._saved_at = time.monotonic()
        self._read_at = 0.0

    @property
    def is_finished(self) -> bool:
        """Whether the last iteration is done."""
        last: int = self.solver.MAX_ITER
        return self.iteration >= last

    @property
    def evaluation_is_due(self) -> bool:
        """Whether this point between two iterations is to be evaluated and has not been yet."""
        period = self.config.TEST.EVAL_PERIOD
        scheduled = self.is_finished or (period > 0 and self.iteration > 0 and self.iteration % period == 0)
        return scheduled and self.evaluated_at != self.iteration

    def batches(self) -> Iterator[list[Sample]]:
        """Return the batches of this process from the next iteration on."""
        return build_train_loader(self.config, self.run.rank, self.run.world_size, self.iteration)

    def step(self, samples: list[Sample], loading_seconds: float) -> None:
        """Take one step, tell about it when its numbers are known, and stop here if the run is asked to."""
        started = time.perf_counter()
        set_lr(self.optimizer, self.iteration, self.solver)
        outcome = DeferredOutcome(self.take_step([s.image for s in samples], [s.targets for s in samples]))
        if self.average:
            self.average.update()
        self._read()  # the step before: the device works on this one meanwhile
        self._unread = _TakenStep(self.iteration, current_lr(self.optimizer), outcome, started, loading_seconds)
        self.iteration += 1
        if self.model.device.type == "cpu" or self.iteration % LOG_PERIOD == 0 or self.is_finished:
            self._read()
        if self.iteration % LOG_PERIOD == 0 or self.is_finished:
            self._log()
        self.run.progress(self.iteration, self.solver.MAX_ITER)
        if self.iteration % self.solver.CHECKPOINT_PERIOD == 0:
            self._save(checkpoint_name(self.iteration))
        if any_of(self.run.should_stop):
            self._save()
            self.run.interrupt()
        if time.monotonic() - self._saved_at > self.config.RUNTIME.CHECKPOINT_SECONDS:
            self._save()

    def _read(self) -> None:
        """Take in the numbers of the last step."""
        step, self._unread = self._unread, None
        if step is None:
            return
        meters, updated, loss_finite = step.outcome.read()
        start, self._read_at = max(step.started, self._read_at), time.perf_counter()
        if updated:
            self.guard.step_was_taken()
            times = {"batch_time": self._read_at - start, "loading_time": step.loading_seconds}
            self.meters.add({**meters, "lr": step.lr, **times})
        elif self.scaler and loss_finite:
            self.guard.step_was_rescaled(step.iteration)
        else:
            self.guard.step_was_refused(step.iteration, meters, step.lr)

    def _log(self) -> None:
        """Log the means since the last time."""
        means, self.meters = self.meters.means(), Meters()
        if not means:
            return
        self.run.log({running(name): mean for name, mean in means.items()}, self.iteration)
        text = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
        logger.info("iteration %d of %d: %s", self.iteration, self.solver.MAX_ITER, text)

    def evaluate(self) -> None:
        """Evaluate and log; an interruption meanwhile repeats no more than this."""
        self._save()
        model = self.average.model if self.average else self.model
        take_state_of_first(model)  # the statistics of norms are those of each process
        self.last_metrics = evaluate_test_sets(model, self.config, self.run)
        self.run.log(self.last_metrics, self.iteration)
        self.evaluated_at = self.iteration
        if self.is_finished:
            self._save(FINAL)
        self._save()

    def _save(self, name: str | None = None) -> None:
        """Write the state; under a name it stays."""
        self._read()
        self.run.save(self.state_dict(), self.iteration, name)
        if name is None:
            self._saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values from which :meth:`load_state_dict` goes on.

        ``model`` is the network that is evaluated: where the weights are averaged, that of the average.
        """
        network = self.model.state_dict()
        rates = [group["lr"] for group in self.optimizer.param_groups]
        return on_cpu(
            {
                "model": self.average.state_dict() if self.average else network,
                "optimizer": self.optimizer.state_dict(),
                "scheduler": {
                    "base_lrs": [group[BASE_LR] for group in self.optimizer.param_groups],
                    "last_epoch": self.iteration,
                    "_last_lr": rates,
                },
                "iteration": self.iteration - 1,  # the last one done, from 0
                "training": {
                    "learning": network if self.average else None,
                    "evaluated_at": self.evaluated_at,
                    "last_metrics": self.last_metrics,
                    "meters": self.meters.state_dict(),
                    "scaler": self.scaler.state_dict() if self.scaler else None,
                    "rescaled_in_a_row": self.guard.rescaled_in_a_row,
                },
            }
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state, or from a checkpoint of the published program, which has no ``training``."""
        own = state.get("training", {})
        self.model.load_state_dict(own.get("learning") or state["model"])
        resume_optimizer(self.optimizer, state["optimizer"], 1.0)
        self.iteration = state["iteration"] + 1
        if self.average:
            self.average.load_state_dict(state["model"])
        if not own:
            return
        self.evaluated_at, self.last_metrics = own["evaluated_at"], dict(own["last_metrics"])
        self.meters.load_state_dict(own["meters"])
        if self.scaler and own["scaler"]:
            self.scaler.load_state_dict(own["scaler"])
        self.guard.rescaled_in_a_row = own["rescaled_in_a_row"]
