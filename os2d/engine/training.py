"""Training: steps, evaluations between them, and everything that survives an interruption (OS2D, section 5).

Batches are a function of their number and nothing draws from a global random generator, so the state of a training is
its iteration, the network, the optimiser and a few counters. Resumed on a CPU, it continues bit for bit. Where several
processes train together all of them are in the same state; the first one writes it down.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from yacs.config import CfgNode

from os2d.data.train_loader import TrainBatch, build_train_loader
from os2d.distributed import any_of, process_group, rank, take_state_of_first, wait_for_all, world_size
from os2d.engine.best_model import BestModel
from os2d.engine.evaluation import Evaluation, evaluate_model, metrics_by_name, times_by_name
from os2d.engine.evaluation_task import evaluate_task
from os2d.engine.final_report import PICTURED_IMAGES, report
from os2d.engine.hard_patch import HardPatches
from os2d.engine.hard_patch_pool import HardPatchPool
from os2d.engine.initial_weights import iteration_checkpoint_name
from os2d.engine.joint_batch import join_batch_statistics
from os2d.engine.meters import Meters
from os2d.engine.mining import mine_hard_patches
from os2d.engine.mining_statistics import mining_statistics
from os2d.engine.optimisation import build_annealing, current_lr, set_lr
from os2d.engine.pictures import Pictures
from os2d.engine.skipped_steps import SkippedSteps
from os2d.engine.training_cost import TrainingClock, keep_cost
from os2d.engine.training_parts import TrainingParts, build_parts
from os2d.engine.training_state import (
    dump_of_failed_step,
    load_optimizer,
    network_checkpoint,
    resume_optimizer,
)
from os2d.engine.training_step import DeferredOutcome, TrainingStep, build_scaler
from os2d.metric_names import running
from os2d.modeling.objective import Os2dObjective
from os2d.modeling.weights_file import load_weights
from os2d.run import Run
from os2d.train_log import TrainLog

__all__ = ["Training", "TrainingParts", "train_task", "train_to_the_end"]

logger = logging.getLogger(__name__)

CURVE_POINTS = 200
"""About so often the running loss is logged between evaluations."""


def train_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Train as configured and return the metrics of the last evaluation, and of the best one if it is tracked."""
    if not config.train.do_training or config.train.optim.max_iter == 0:
        return evaluate_task(config, run)
    with process_group(config.is_cuda):
        return train_to_the_end(Training(config, run), run)


def train_to_the_end(training: Training, run: Run) -> dict[str, float]:
    """Go on where the run was left, if it was, and return the metrics of the last evaluation and the best ones."""
    state = run.resume()
    if state is not None:
        training.load_state_dict(state)
    wait_for_all()  # before the first process writes the next state, every one has read this one
    while True:
        if training.evaluation_is_due:
            training.evaluate()
        if training.is_finished:
            return training.final_metrics
        if training.mining_is_due:
            training.mine()
        for batches in training.batches_until_next_event():
            training.step(batches)


@dataclass(frozen=True)
class _TakenStep:
    """A step whose numbers may not have arrived yet."""

    number: int
    batches: list[TrainBatch]
    outcome: DeferredOutcome
    started: float
    loading_seconds: float


class Training:
    """A training between two steps; the parts are those the configuration names unless others are given."""

    def __init__(self, config: CfgNode, run: Run, parts: TrainingParts | None = None) -> None:
        parts = parts or build_parts(config, run)
        self.config = config
        self.run = run
        self.model, self.optimizer = parts.model, parts.optimizer
        self.dataset, self.evaluation_sets = parts.dataset, parts.evaluation_sets
        self.device = next(self.model.parameters()).device
        self.annealing = build_annealing(self.optimizer, config.train.optim.anneal_lr, config.eval.iter)
        self.objective = Os2dObjective.from_config(config)
        self.scaler = build_scaler(config.train.precision, self.device)
        self.best = BestModel.from_config(config)
        self.meters = Meters()
        self.iteration = 0
        self.evaluated_at = -1
        self.hard_patches = HardPatchPool(config.train.mining)
        self.last_metrics: dict[str, float] = {}
        self.skipped = SkippedSteps()
        self.log = TrainLog(Path(config.output.path)) if config.output.path and run.rank == 0 else None
        self._unread: _TakenStep | None = None
        self._loading_seconds = 0.0
        self._started = self._saved_at = time.monotonic()
        self._read_at = 0.0
        self.clock = TrainingClock()
        if config.runtime.channels_last:
            self.model.to(memory_format=torch.channels_last)
        take_state_of_first(self.model)
        join_batch_statistics(self.model)

    @property
    def max_iter(self) -> int:
        """How many steps the training has."""
        return int(self.config.train.optim.max_iter)

    @property
    def is_finished(self) -> bool:
        """Whether the last step is done."""
        return self.iteration == self.max_iter

    @property
    def evaluation_is_due(self) -> bool:
        """Whether this point between two steps is to be evaluated and has not been yet."""
        scheduled = self.iteration % self.config.eval.iter == 0 or self.is_finished
        return scheduled and self.evaluated_at != self.iteration

    @property
    def mining_is_due(self) -> bool:
        """Whether hard patches are to be mined before the next step."""
        return self.hard_patches.is_due(self.iteration)

    @property
    def final_metrics(self) -> dict[str, float]:
        """The metrics of the last evaluation and the best ones."""
        return {**self.last_metrics, **(self.best.metrics() if self.best else {})}

    def batches_until_next_event(self) -> Iterator[list[TrainBatch]]:
        """Yield the batches of every step up to the next evaluation or mining, on the device."""
        mining, per_step = self.config.train.mining, self.config.train.accumulation_steps
        intervals = [self.config.eval.iter] + [mining.mine_hard_patches_iter] * mining.do_mining
        stop = min(self.max_iter, *((self.iteration // interval + 1) * interval for interval in intervals))
        loader = build_train_loader(
            self.dataset,
            self.config,
            self.model.box_coder,
            seed=self.run.seed,
            start=self.iteration * per_step,
            stop=stop * per_step,
            hard_patches=self.hard_patches.patches,
            share=(rank(), world_size()),
        )
        layout = torch.channels_last if self.config.runtime.channels_last else torch.contiguous_format
        batches = iter(loader)
        while True:
            start = time.perf_counter()
            of_step = list(islice(batches, per_step))
            if not of_step:
                return
            self._loading_seconds = time.perf_counter() - start
            yield [batch.to(self.device, layout) for batch in of_step]

    def step(self, batches: list[TrainBatch]) -> None:
        """Take one step, tell about it when its numbers are known, and stop here if the run is asked to."""
        started = time.perf_counter()
        step = TrainingStep(
            self.model, self.optimizer, self.objective, self.config.train, self.scaler, Pictures(self.config, self.run)
        )
        outcome = DeferredOutcome(step(batches, self.iteration))
        self._read()  # the step before: the device works on this one meanwhile
        self._unread = _TakenStep(self.iteration + 1, batches, outcome, started, self._loading_seconds)
        if self.device.type == "cpu":
            self._read()
        self.iteration += 1
        self.run.progress(self.iteration, self.max_iter)
        if self.config.output.save_iter and self.iteration % self.config.output.save_iter == 0:
            self._save_network()
        if any_of(self.run.should_stop):
            self._save()
            self.run.interrupt()
        self._save_now_and_then()

    def _read(self) -> None:
        """Take in the numbers of the last step."""
        step, self._unread = self._unread, None
        if step is None:
            return
        meters, updated, loss_finite = step.outcome.read()
        start, self._read_at = max(step.started, self._read_at), time.perf_counter()
        if updated:
            self.skipped.step_was_taken()
            self.meters.add({**meters, "batch_time": self._read_at - start, "loading_time": step.loading_seconds})
        elif self.scaler and loss_finite:
            self.skipped.step_was_rescaled(step.number)
        else:
            self.skipped.step_was_skipped(step.number, meters, current_lr(self.optimizer), lambda: self._dump(step))
        self._tell(step.number, meters)

    def _tell(self, step: int, meters: Mapping[str, float]) -> None:
        interval = self.config.output.print_iter
        if interval and step % interval == 0 and self.run.rank == 0:
            text = ", ".join(f"{name} {value:.4f}" for name, value in meters.items())
            logger.info("step %d of %d: %s", step, self.max_iter, text)
        if step % max(1, self.max_iter // CURVE_POINTS) == 0 and self.meters.steps:
            self.run.log({running("loss"): self.meters.mean("loss")}, step)

    def _dump(self, step: _TakenStep) -> Path:
        """Write the batch, the network and the gradient of a step that was skipped."""
        if self.device.type != "cpu" and world_size() == 1:  # the next step's gradient is there by now
            TrainingStep(self.model, self.optimizer, self.objective, self.config.train).compute_gradients(step.batches)
        dump = dump_of_failed_step(step.batches[0], self.model, self.optimizer, self.config)
        name = f"error_nan_appeared-{time.strftime('%Y-%m-%d-%H:%M:%S')}.pth"
        return self.run.save(dump, step.number - 1, name)

    def mine(self) -> None:
        """Look for the hardest patches of the training images; interrupted, it goes on with the images left."""
        self._save()
        pool, start = self.hard_patches, time.perf_counter()

        def save(mined: HardPatches) -> None:
            pool.unfinished = mined
            if self.run.should_stop:
                self._save()
            self._save_now_and_then()

        patches = mine_hard_patches(
            self.model,
            self.dataset,
            self.config,
            self.run,
            seed=self.run.seed,
            iteration=self.iteration,
            mined=pool.unfinished,
            save=save,
        )
        pool.finish(patches, self.iteration)
        self.run.log(mining_statistics(patches, time.perf_counter() - start), self.iteration)
        logger.info("mined %d hard patches", sum(map(len, patches.values())))
        self._save()

    def evaluate(self) -> None:
        """Evaluate, log, keep the best network, anneal; an interruption meanwhile repeats no more than this."""
        self._save()
        if self.iteration == 0 and (self.config.output.save_iter or self.config.output.path):
            self._save_network()
        pictured = PICTURED_IMAGES if self.is_finished else 0
        with self.clock.paused():
            sets = self.evaluation_sets
            evaluations = evaluate_model(self.model, sets, self.config, self.run, pictured, self.iteration)
        metrics = metrics_by_name(evaluations)
        if self.best:
            self._keep_best(self.best, metrics[self.best.name])
        means = {running(name): mean for name, mean in self.meters.means().items()}
        log = {**metrics, **times_by_name(evaluations), **means, running("lr"): current_lr(self.optimizer)}
        if 0 < self.iteration < self.max_iter:
            self._anneal()
        self.run.log({**log, "skipped_steps": self.skipped.total}, self.iteration)
        if self.log:
            self.log.append(self.iteration, (time.monotonic() - self._started) / 3600, log)
        if self.is_finished:
            self._finish(evaluations)
        self.last_metrics, self.evaluated_at = metrics, self.iteration
        self.meters = Meters()
        self._save()

    def _finish(self, evaluations: Mapping[str, Evaluation]) -> None:
        self._save_network()
        self.run.log(keep_cost(self.run, self.clock, self.model), self.iteration)
        report(evaluations, self.evaluation_sets, self.config, self.run)

    def _anneal(self) -> None:
        """Apply the annealing; where the learning rate changes, go back to the best network if that is wanted."""
        anneal = self.config.train.optim.anneal_lr
        before = current_lr(self.optimizer)
        lr = self.annealing.step(self.iteration - 1, self.last_metrics.get(anneal.quantity_to_monitor))
        if lr != before and anneal.reload_best_model_after_anneal_lr and self.best:
            logger.info("learning rate %g: going on from the best network (step %d)", lr, self.best.iteration)
            wait_for_all()  # the first process has just written the file, perhaps
            path = self.run.dir / self.best.checkpoint
            content = load_weights(path)
            self.model.load_state_dict(content["net"])
            load_optimizer(self.optimizer, content["optimizer"], path)
            set_lr(self.optimizer, lr)

    def _keep_best(self, best: BestModel, value: float) -> None:
        if not best.improves(value):
            return
        content = {**self._network(), "iteration": self.iteration, **best.criterion(value)}
        path = self.run.save(content, self.iteration, name=best.checkpoint_name)
        best.value, best.iteration = value, self.iteration
        best.checkpoint = str(path.relative_to(self.run.dir))

    def _network(self) -> dict[str, Any]:
        return network_checkpoint(self.model, self.optimizer)

    def _save_network(self) -> None:
        self.run.save(self._network(), self.iteration, name=iteration_checkpoint_name(self.iteration))

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self._saved_at > self.config.runtime.checkpoint_seconds:
            self._save()

    def _save(self) -> None:
        self._read()
        self.run.save(self.state_dict(), self.iteration)
        self._saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values from which :meth:`load_state_dict` goes on."""
        return {
            **self._network(),
            "initial_lr": self.config.train.optim.lr,
            "iteration": self.iteration,
            "evaluated_at": self.evaluated_at,
            "annealing": self.annealing.state_dict(),
            "best": self.best.state_dict() if self.best else None,
            "meters": self.meters.state_dict(),
            "last_metrics": self.last_metrics,
            **self.hard_patches.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler else None,
            "skipped": self.skipped.state_dict(),
            "seconds": time.monotonic() - self._started,
            "training_time": self.clock.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.model.load_state_dict(state["net"])
        resume_optimizer(self.optimizer, state["optimizer"], self.config.train.optim.lr / state["initial_lr"])
        self.annealing.load_state_dict(state["annealing"])
        if self.best and state["best"]:
            self.best.load_state_dict(state["best"])
        self.meters.load_state_dict(state["meters"])
        self.iteration, self.evaluated_at = state["iteration"], state["evaluated_at"]
        self.last_metrics = dict(state["last_metrics"])
        self.hard_patches.load_state_dict(state)
        if self.scaler and state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
        self.skipped.load_state_dict(state["skipped"])
        self._started = time.monotonic() - state.get("seconds", 0.0)
        self.clock.go_on_from(state.get("training_time", 0.0))
        logger.info("going on after step %d of %d", self.iteration, self.max_iter)
