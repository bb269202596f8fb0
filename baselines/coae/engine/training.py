"""Training: epochs of steps, evaluations and drops of the learning rate between them, and what survives interruptions.

Batches and all random choices are functions of the number of a step, so the state of a training is that number, the
network, the optimiser and a few counters. Resumed on a CPU, it continues bit for bit.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch.nn.utils import get_total_norm
from yacs.config import CfgNode

from baselines.coae.data.train_batches import REGIONS, TrainBatches, build_train_loader, random_stream
from baselines.coae.engine.evaluation import build_evaluation_sets, evaluate_model
from baselines.coae.engine.final_report import report
from baselines.coae.engine.optimisation import build_optimizer, learning_rates, set_learning_rates
from baselines.coae.engine.schedule import Schedule
from baselines.coae.engine.start_weights import best_checkpoint_name, epoch_checkpoint_name, load_start_weights
from baselines.coae.modeling.model import TrainBatch, TrainKeys, build_coae
from baselines.coae.modeling.weights import checkpoint
from os2d.data.catalog import data_root
from os2d.data.dataset import build_dataset
from os2d.device import prepare_device
from os2d.distributed import launch
from os2d.engine.best_model import BestModel
from os2d.engine.evaluation import metrics_by_name, times_by_name
from os2d.engine.guarded_update import update_if
from os2d.engine.meters import Meters
from os2d.engine.skipped_steps import SkippedSteps
from os2d.engine.training_cost import TrainingClock, keep_cost
from os2d.engine.training_state import load_optimizer
from os2d.engine.training_step import DeferredOutcome, StepOutcome
from os2d.errors import ConfigError
from os2d.metric_names import at_iou, running
from os2d.modeling.weights_file import load_weights, on_cpu
from os2d.run import Run

logger = logging.getLogger(__name__)

CURVE_POINTS = 200
"""About so often the running loss is logged between evaluations."""


class _TakenStep(NamedTuple):
    """A step whose numbers may not have arrived yet."""

    number: int
    batch: TrainBatch
    outcome: DeferredOutcome


def train_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Train as configured and return the metrics of the last evaluation, and of the best one."""
    if launch().world_size > 1:
        raise ConfigError("CoAE trains in one process: start it without torchrun (evaluation can be shared)")
    training = Training(config, run)
    state = run.resume()
    if state is not None:
        training.load_state_dict(state)
    while True:
        if training.evaluation_is_due:
            training.evaluate()
        if training.is_finished:
            return training.final_metrics
        if training.drop_is_due:
            training.drop_learning_rate()
        for batch in training.batches_until_next_event():
            training.step(batch)


class Training:
    """A training between two steps."""

    def __init__(self, config: CfgNode, run: Run) -> None:
        self.config = config
        self.run = run
        self.device = prepare_device(config)
        self.model = build_coae(config, torch.Generator().manual_seed(config.random_seed))
        optimizer_state = load_start_weights(self.model, config, run)
        self.model.to(self.device)
        self.optimizer = build_optimizer(self.model, config.train.optim)
        if optimizer_state:
            rates = learning_rates(self.optimizer)
            load_optimizer(self.optimizer, optimizer_state, config.init.model)
            set_learning_rates(self.optimizer, rates)
        dataset = build_dataset(config.train.dataset_name, data_root(config))
        self.batches = TrainBatches(dataset, config, run.seed)
        self.evaluation_sets = build_evaluation_sets(config)
        self.schedule = Schedule.from_config(config, self.batches.per_epoch)
        self.iteration = 0
        self.evaluated_at = self.dropped_at = -1
        name = self.evaluation_sets[0].dataset.name
        self.best = BestModel(name, at_iou("mAP", config.eval.mAP_iou_thresholds[0]), mode="max")
        self.meters, self.skipped = Meters(), SkippedSteps()
        self.last_metrics: dict[str, float] = {}
        self._unread: _TakenStep | None = None
        self.clock = TrainingClock()
        self._saved_at = time.monotonic()

    @property
    def is_finished(self) -> bool:
        """Whether the last step is done."""
        return self.iteration == self.schedule.steps

    @property
    def completed_epoch(self) -> int | None:
        """The epoch that is just done; None in the middle of one."""
        epoch, rest = divmod(self.iteration, self.schedule.steps_per_epoch)
        return None if rest else epoch

    @property
    def evaluation_is_due(self) -> bool:
        """Whether this point between two steps is to be evaluated and has not been yet."""
        epoch = self.completed_epoch
        return epoch is not None and self.schedule.evaluates_after(epoch) and self.evaluated_at != self.iteration

    @property
    def drop_is_due(self) -> bool:
        """Whether the learning rate is to drop before the next step."""
        epoch = self.completed_epoch
        return epoch is not None and epoch + 1 in self.schedule.milestones and self.dropped_at != self.iteration

    @property
    def final_metrics(self) -> dict[str, float]:
        """The metrics of the last evaluation and the best ones."""
        return {**self.last_metrics, **self.best.metrics()}

    def batches_until_next_event(self) -> Iterator[TrainBatch]:
        """Yield the batch of every step up to the next evaluation or drop, on the device."""
        stop = self.schedule.next_event(self.iteration)
        for batch in build_train_loader(self.batches, self.config, self.iteration, stop):
            yield batch.to(self.device)

    def draw_keys(self, batch: TrainBatch) -> TrainKeys:
        """Return the random numbers of the next step, on the device."""
        keys = self.model.draw_keys(random_stream(self.run.seed, REGIONS, self.iteration), batch)
        return keys.to(self.device)

    def step(self, batch: TrainBatch) -> None:
        """Take one step, tell about it when its numbers are known, and stop here if the run is asked to."""
        outcome = DeferredOutcome(self._update(batch))
        self._read()  # the step before: the device works on this one meanwhile
        self.iteration += 1
        self._unread = _TakenStep(self.iteration, batch, outcome)
        if self.device.type == "cpu":
            self._read()
        self.run.progress(self.iteration, self.schedule.steps)
        self._save_named()
        if self.run.should_stop:
            self._save()
            self.run.interrupt()
        if time.monotonic() - self._saved_at > self.config.runtime.checkpoint_seconds:
            self._save()

    def _update(self, batch: TrainBatch) -> StepOutcome:
        """Change the network, unless the loss or the gradient is not finite."""
        self.model.train()
        losses, _ = self.model.losses(batch, self.draw_keys(batch))
        total = losses.total
        self.optimizer.zero_grad()
        total.backward()
        norm = get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        meters = OrderedDict(loss=total, **losses._asdict(), grad_norm=norm)
        meters = OrderedDict((name, value.detach()) for name, value in meters.items())
        loss_finite = torch.isfinite(total.detach())
        updated = loss_finite & torch.isfinite(norm)
        update_if(updated, self.optimizer, lambda: None)
        return StepOutcome(meters, updated, loss_finite)

    def _read(self) -> None:
        """Take in the numbers of the last step."""
        step, self._unread = self._unread, None
        if step is None:
            return
        meters, updated, _ = step.outcome.read()
        if updated:
            self.skipped.step_was_taken()
            self.meters.add(meters)
        else:
            rate = learning_rates(self.optimizer)[0]
            self.skipped.step_was_skipped(step.number, meters, rate, lambda: self._dump(step))
        interval = self.config.output.print_iter
        if interval and step.number % interval == 0:
            text = ", ".join(f"{name} {value:.4f}" for name, value in meters.items())
            logger.info("step %d of %d: %s", step.number, self.schedule.steps, text)
        if step.number % max(1, self.schedule.steps // CURVE_POINTS) == 0 and self.meters.steps:
            self.run.log({running("loss"): self.meters.mean("loss")}, step.number)

    def _dump(self, step: _TakenStep) -> object:
        """Write the batch and the network of a step that was skipped."""
        content = {"batch_data": step.batch._asdict(), "state_dict": self.model.state_dict()}
        name = f"error_nan_appeared-{time.strftime('%Y-%m-%d-%H:%M:%S')}.pth"
        return self.run.save(on_cpu(content), step.number - 1, name)

    def drop_learning_rate(self) -> None:
        """Lower the learning rate; go back to the best network if that is wanted and there is one."""
        optim = self.config.train.optim
        rates = [rate * optim.gamma for rate in learning_rates(self.optimizer)]
        if optim.reload_best_model and self.best.checkpoint:
            path = self.run.dir / self.best.checkpoint
            content = load_weights(path)
            logger.info("learning rate %g: going on from the best network (%s)", rates[0], path)
            self.model.load_state_dict(content["model"])
            load_optimizer(self.optimizer, content["optimizer"], path)
        set_learning_rates(self.optimizer, rates)
        self.dropped_at = self.iteration
        self._save()

    def evaluate(self) -> None:
        """Evaluate, log, keep the best network; an interruption meanwhile repeats no more than this."""
        self._save()
        with self.clock.paused():
            evaluations = evaluate_model(self.model, self.evaluation_sets, self.config, self.run)
        metrics = metrics_by_name(evaluations)
        self._keep_best(metrics[self.best.name])
        means = {running(name): mean for name, mean in self.meters.means().items()}
        rate = {running("lr"): learning_rates(self.optimizer)[0], "skipped_steps": self.skipped.total}
        self.run.log({**metrics, **times_by_name(evaluations), **means, **rate}, self.iteration)
        if self.is_finished:
            self.run.log(keep_cost(self.run, self.clock, self.model), self.iteration)
            report(evaluations, self.evaluation_sets, self.run)
        self.last_metrics, self.evaluated_at = metrics, self.iteration
        self.meters = Meters()
        self._save()

    def _keep_best(self, value: float) -> None:
        if not self.best.improves(value):
            return
        session, epoch = self.config.output.session, self.schedule.epoch_of(self.iteration - 1)
        content = checkpoint(self.model, self.optimizer, session=session, epoch=epoch + 1)
        path = self.run.save(content, self.iteration, name=best_checkpoint_name(session))
        self.best.value, self.best.iteration = value, self.iteration
        self.best.checkpoint = str(path.relative_to(self.run.dir))

    def _save_named(self) -> None:
        """Keep the network every so many steps of an epoch, as the published program does."""
        interval, session = self.config.output.checkpoint_interval, self.config.output.session
        step = (self.iteration - 1) % self.schedule.steps_per_epoch + 1
        if interval and step % interval == 0:
            epoch = self.schedule.epoch_of(self.iteration - 1)
            content = checkpoint(self.model, self.optimizer, session=session, epoch=epoch + 1)
            self.run.save(content, self.iteration, name=epoch_checkpoint_name(session, epoch, step))

    def _save(self) -> None:
        self._read()
        self.run.save(self.state_dict(), self.iteration)
        self._saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values from which :meth:`load_state_dict` goes on."""
        network = on_cpu({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()})
        return {
            **network,
            "iteration": self.iteration,
            "evaluated_at": self.evaluated_at,
            "dropped_at": self.dropped_at,
            "best": self.best.state_dict(),
            "meters": self.meters.state_dict(),
            "skipped": self.skipped.state_dict(),
            "last_metrics": self.last_metrics,
            "training_time": self.clock.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.iteration = state["iteration"]
        self.evaluated_at, self.dropped_at = state["evaluated_at"], state["dropped_at"]
        self.best.load_state_dict(state["best"])
        self.meters.load_state_dict(state["meters"])
        self.skipped.load_state_dict(state["skipped"])
        self.last_metrics = dict(state["last_metrics"])
        self.clock.go_on_from(state.get("training_time", 0.0))
        logger.info("going on after step %d of %d", self.iteration, self.schedule.steps)
