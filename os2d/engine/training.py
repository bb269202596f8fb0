"""Training: steps, evaluations between them, and everything that survives an interruption (OS2D, section 5).

Batches are a function of the iteration and nothing draws from a global random generator, so the state of a training is
its iteration, the network, the optimiser and a few counters. Resumed on a CPU, it continues bit for bit.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from yacs.config import CfgNode

from os2d.data.catalog import data_root
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.data.train_loader import TrainBatch, build_train_loader
from os2d.engine.best_model import BestModel
from os2d.engine.device import prepare_device
from os2d.engine.evaluation import (
    Evaluation,
    EvaluationSet,
    build_evaluation_sets,
    evaluate_model,
    metrics_by_name,
    times_by_name,
)
from os2d.engine.evaluation_task import evaluate_task
from os2d.engine.final_report import PICTURED_IMAGES, report
from os2d.engine.hard_patch import HardPatches, MinedPatch
from os2d.engine.initial_weights import iteration_checkpoint_name, load_start_weights
from os2d.engine.meters import Meters
from os2d.engine.metric_names import running
from os2d.engine.mining import mine_hard_patches
from os2d.engine.objective import Os2dObjective
from os2d.engine.optimisation import build_annealing, build_optimizer, current_lr, set_lr, trainable_parameters
from os2d.engine.training_state import dump_of_failed_step, load_optimizer, on_cpu
from os2d.engine.training_step import StepOutcome, training_step
from os2d.errors import TrainingDivergedError
from os2d.modeling.checkpoint import load_weights
from os2d.modeling.model import Os2d, build_os2d
from os2d.run import Run

logger = logging.getLogger(__name__)

LARGEST_SKIPPED_ROW = 10
"""So many steps in a row without a finite gradient end the training."""

CURVE_POINTS = 200
"""About so often the running loss is logged between evaluations."""


def train_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Train as configured and return the metrics of the last evaluation, and of the best one if it is tracked."""
    if not config.train.do_training or config.train.optim.max_iter == 0:
        return evaluate_task(config, run)
    return train_to_the_end(Training(config, run), run)


def train_to_the_end(training: Training, run: Run) -> dict[str, float]:
    """Go on where the run was left, if it was, and return the metrics of the last evaluation and the best ones."""
    state = run.resume()
    if state is not None:
        training.load_state_dict(state)
    while True:
        if training.evaluation_is_due:
            training.evaluate()
        if training.is_finished:
            return training.final_metrics
        if training.mining_is_due:
            training.mine()
        for batch in training.batches_until_next_event():
            training.step(batch)


@dataclass(frozen=True)
class TrainingParts:
    """What a training works with; the network is on its device."""

    model: Os2d
    optimizer: Optimizer
    dataset: DatasetOneShotDetection
    evaluation_sets: Sequence[EvaluationSet]


def build_parts(config: CfgNode, run: Run) -> TrainingParts:
    """Return the parts that a configuration names, with the weights to start from."""
    device = prepare_device(config)
    model = build_os2d(config)
    optimizer_state = load_start_weights(model, config, run)
    model.to(device)
    optimizer = build_optimizer(trainable_parameters(model), config.train.optim)
    if optimizer_state:
        load_optimizer(optimizer, optimizer_state, config.init.model)
        set_lr(optimizer, config.train.optim.lr)
    dataset = build_dataset(config.train.dataset_name, data_root(config), cache_images=config.train.cache_images)
    return TrainingParts(model, optimizer, dataset, build_evaluation_sets(config, dataset))


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
        self.best = BestModel.from_config(config)
        self.meters = Meters()
        self.iteration = 0
        self.evaluated_at = -1
        self.mined_at = -1
        self.hard_patches: HardPatches = OrderedDict()
        self.last_metrics: dict[str, float] = {}
        self.skipped_in_a_row = 0
        self.skipped_steps = 0
        self._loading_seconds = 0.0
        self._saved_at = time.monotonic()

    @property
    def max_iter(self) -> int:
        """How many steps the training has."""
        return self.config.train.optim.max_iter

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
    def final_metrics(self) -> dict[str, float]:
        """The metrics of the last evaluation and the best ones."""
        return {**self.last_metrics, **(self.best.metrics() if self.best else {})}

    @property
    def mining_is_due(self) -> bool:
        """Whether hard patches are to be mined before the next step."""
        mining = self.config.train.mining
        return (
            mining.do_mining and self.iteration % mining.mine_hard_patches_iter == 0 and self.mined_at != self.iteration
        )

    def batches_until_next_event(self) -> Iterator[TrainBatch]:
        """Yield the batches of the steps up to the next evaluation or mining, on the device."""
        mining = self.config.train.mining
        intervals = [self.config.eval.iter] + [mining.mine_hard_patches_iter] * mining.do_mining
        loader = build_train_loader(
            self.dataset,
            self.config,
            self.model.box_coder,
            seed=self.run.seed,
            start=self.iteration,
            stop=min(self.max_iter, *((self.iteration // interval + 1) * interval for interval in intervals)),
            hard_patches=self.hard_patches,
        )
        batches = iter(loader)
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            self._loading_seconds = time.perf_counter() - start
            yield batch.to(self.device)

    def step(self, batch: TrainBatch) -> None:
        """Take one step, tell about it, and stop here if the run is asked to."""
        start = time.perf_counter()
        outcome = training_step(self.model, self.optimizer, self.objective, batch, self.config.train)
        if outcome.updated:
            self.skipped_in_a_row = 0
            seconds = {"batch_time": time.perf_counter() - start, "loading_time": self._loading_seconds}
            self.meters.add({**outcome.meters, **seconds})
        else:
            self._skip(batch, outcome)
        self.iteration += 1
        self.run.progress(self.iteration, self.max_iter)
        self._tell(outcome)
        if self.config.output.save_iter and self.iteration % self.config.output.save_iter == 0:
            self._save_network()
        if self.run.should_stop:
            self._save()
            self.run.interrupt()
        if time.monotonic() - self._saved_at > self.config.runtime.checkpoint_seconds:
            self._save()

    def mine(self) -> None:
        """Look for the hardest patches of the training images; an interruption meanwhile repeats no more than this."""
        self._save()
        self.hard_patches = mine_hard_patches(
            self.model, self.dataset, self.config, self.run, seed=self.run.seed, iteration=self.iteration
        )
        logger.info("mined %d hard patches", sum(map(len, self.hard_patches.values())))
        self.mined_at = self.iteration
        self._save()

    def evaluate(self) -> None:
        """Evaluate, log, keep the best network, anneal; an interruption meanwhile repeats no more than this."""
        self._save()
        if self.iteration == 0 and self.config.output.save_iter:
            self._save_network()
        pictured = PICTURED_IMAGES if self.is_finished else 0
        evaluations = evaluate_model(self.model, self.evaluation_sets, self.config, self.run, pictured)
        metrics = metrics_by_name(evaluations)
        if self.best:
            self._keep_best(self.best, metrics[self.best.name])
        means = {running(name): mean for name, mean in self.meters.means().items()}
        log = {**metrics, **times_by_name(evaluations), **means, running("lr"): current_lr(self.optimizer)}
        if 0 < self.iteration < self.max_iter:
            self._anneal()
        self.run.log({**log, "skipped_steps": self.skipped_steps}, self.iteration)
        if self.is_finished:
            self._finish(evaluations)
        self.last_metrics, self.evaluated_at = metrics, self.iteration
        self.meters = Meters()
        self._save()

    def _finish(self, evaluations: Mapping[str, Evaluation]) -> None:
        self._save_network()
        report(evaluations, self.evaluation_sets, self.config, self.run)

    def _anneal(self) -> None:
        """Apply the annealing; where the learning rate changes, go back to the best network if that is wanted."""
        anneal = self.config.train.optim.anneal_lr
        before = current_lr(self.optimizer)
        lr = self.annealing.step(self.iteration - 1, self.last_metrics.get(anneal.quantity_to_monitor))
        if lr != before and anneal.reload_best_model_after_anneal_lr and self.best:
            logger.info("learning rate %g: going on from the best network (step %d)", lr, self.best.iteration)
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

    def _skip(self, batch: TrainBatch, outcome: StepOutcome) -> None:
        """Count a step without a finite gradient, keep the first of a row for inspection, give up after many."""
        self.skipped_steps += 1
        self.skipped_in_a_row += 1
        logger.warning("step %d: the gradient is not finite; the step is skipped", self.iteration + 1)
        if self.skipped_in_a_row == 1:
            name = f"error_nan_appeared-{time.strftime('%Y-%m-%d-%H:%M:%S')}.pth"
            dump = dump_of_failed_step(batch, self.model, self.optimizer, self.config)
            logger.warning(
                "the batch, the network and the gradient are in %s", self.run.save(dump, self.iteration, name)
            )
        if self.skipped_in_a_row == LARGEST_SKIPPED_ROW:
            loss, norm = (float(outcome.meters[name]) for name in ("loss", "grad_norm"))
            raise TrainingDivergedError(
                f"step {self.iteration + 1}: the gradient was not finite for {LARGEST_SKIPPED_ROW} steps in a row "
                f"(loss {loss}, gradient norm {norm}); try a lower train.optim.lr (now {current_lr(self.optimizer):g}) "
                f"or train.optim.max_grad_norm; the first such step is dumped in {self.run.dir}"
            )

    def _tell(self, outcome: StepOutcome) -> None:
        interval = self.config.output.print_iter
        if interval and self.iteration % interval == 0:
            text = ", ".join(f"{name} {float(value.double().mean()):.4f}" for name, value in outcome.meters.items())
            logger.info("step %d of %d: %s", self.iteration, self.max_iter, text)
        if self.iteration % max(1, self.max_iter // CURVE_POINTS) == 0 and self.meters.steps:
            self.run.log({running("loss"): self.meters.mean("loss")}, self.iteration)

    def _network(self) -> dict[str, Any]:
        return on_cpu({"net": self.model.state_dict(), "optimizer": self.optimizer.state_dict()})

    def _save_network(self) -> None:
        self.run.save(self._network(), self.iteration, name=iteration_checkpoint_name(self.iteration))

    def _save(self) -> None:
        self.run.save(self.state_dict(), self.iteration)
        self._saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values from which :meth:`load_state_dict` goes on."""
        return {
            **self._network(),
            "iteration": self.iteration,
            "evaluated_at": self.evaluated_at,
            "annealing": self.annealing.state_dict(),
            "best": self.best.state_dict() if self.best else None,
            "meters": self.meters.state_dict(),
            "last_metrics": self.last_metrics,
            "mined_at": self.mined_at,
            "hard_patches": {i: [p.as_plain() for p in patches] for i, patches in self.hard_patches.items()},
            "skipped": [self.skipped_in_a_row, self.skipped_steps],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.model.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.annealing.load_state_dict(state["annealing"])
        if self.best and state["best"]:
            self.best.load_state_dict(state["best"])
        self.meters.load_state_dict(state["meters"])
        self.iteration, self.evaluated_at = state["iteration"], state["evaluated_at"]
        self.last_metrics = dict(state["last_metrics"])
        self.mined_at = state["mined_at"]
        self.hard_patches = OrderedDict(
            (i, [MinedPatch.from_plain(values) for values in patches]) for i, patches in state["hard_patches"].items()
        )
        self.skipped_in_a_row, self.skipped_steps = state["skipped"]
        logger.info("going on after step %d of %d", self.iteration, self.max_iter)
