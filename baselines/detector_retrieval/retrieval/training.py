"""Training of a retrieval network by tuples with mined negatives (Radenovic et al., 2018).

Before an epoch come the loss of the validation part and the test; then pairs are drawn, negatives mined and every tuple
is seen once. Draws are a function of the epoch, so that the state of a training is the network, the optimiser, the
tuples of the epoch and how many are done. Resumed on one CPU thread (``runtime.num_threads 1``), it continues bit for
bit; with several, the gradients of any two runs can differ in rounding.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from yacs.config import CfgNode

from baselines.detector_retrieval.retrieval.device import prepare_device
from baselines.detector_retrieval.retrieval.extraction import Extraction, describe_test_set
from baselines.detector_retrieval.retrieval.losses import contrastive_loss, triplet_loss
from baselines.detector_retrieval.retrieval.needs import BEST_CHECKPOINT, EPOCH_CHECKPOINT, data_folder
from baselines.detector_retrieval.retrieval.network import NetworkDescription, RetrievalNetwork, build_network
from baselines.detector_retrieval.retrieval.optimisation import build_optimizer, set_epoch
from baselines.detector_retrieval.retrieval.prepared import TestSet, TrainingSet, read_test_set, read_training_set
from baselines.detector_retrieval.retrieval.tuples import Loss, Tuples, mine_tuples, validation_loss
from baselines.detector_retrieval.retrieval.weights import checkpoint, load_init_model, load_whitening_layer
from os2d.data.batch_loader import BatchLoader
from os2d.engine.training_cost import TrainingClock, keep_cost
from os2d.errors import ConfigError, DataError, TrainingDivergedError
from os2d.metric_names import on_dataset, running
from os2d.modeling.weights_file import on_cpu
from os2d.run import Run

logger = logging.getLogger(__name__)

LOSSES = {"contrastive": contrastive_loss, "triplet": triplet_loss}


def train_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Train as configured and return the last test's metrics and the best ones."""
    training = RetrievalTraining(config, run)
    state = run.resume()
    if state is not None:
        training.load_state_dict(state)
    while True:
        if training.test_is_due:
            with training.clock.paused():
                training.test()
        if training.is_finished:
            training.run.log(keep_cost(run, training.clock, training.network), training.epoch)
            return training.final_metrics
        if training.tuples is None:
            training.mine()
        training.run_epoch()


class RetrievalTraining:
    """A training between two steps."""

    def __init__(self, config: CfgNode, run: Run) -> None:
        if run.world_size > 1:
            raise ConfigError("training of a retrieval network: expected one process, got several; it has no such mode")
        self.config, self.run = config, run
        device = prepare_device(config)
        root = data_folder(config.data.path, run)
        self.pictures = read_training_set(root, config.data.train, "train")
        self.validation = read_training_set(root, config.data.train, "val") if config.eval.validate else None
        self.tests = [read_test_set(root, name) for name in dict.fromkeys(config.data.tests)]
        _check_enough(self.pictures, self.tests[0], config.train.batch_size)
        self.network = build_start_network(config).to(device)
        self.device = device
        self.optimizer = build_optimizer(self.network, config.train)
        self.loss: Loss = partial(LOSSES[config.train.loss.lower()], margin=config.train.margin)
        self.epoch, self.step_in_epoch, self.tested_epoch = 0, 0, -1
        self.tuples: Tuples | None = None
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.best_value, self.best_epoch = -inf, -1
        self.last_metrics: dict[str, float] = {}
        self.clock = TrainingClock()
        self._saved_at = time.monotonic()

    @property
    def is_finished(self) -> bool:
        """Whether the last epoch is done."""
        epochs: int = self.config.train.epochs
        return self.epoch == epochs

    @property
    def test_is_due(self) -> bool:
        """Whether the network is to be validated and tested before this epoch, and has not been."""
        wanted = self.config.eval.after_last_epoch if self.is_finished and self.epoch else True
        return wanted and self.step_in_epoch == 0 and self.tested_epoch != self.epoch

    @property
    def steps_per_epoch(self) -> int:
        """How many steps an epoch has; tuples that do not fill a step are left out."""
        train = self.config.train
        steps: int = min(train.queries, len(self.pictures.query_M)) // train.batch_size
        return steps

    @property
    def final_metrics(self) -> dict[str, float]:
        """The metrics of the last test and the best ones."""
        first = on_dataset("mAP", self.tests[0].name)
        return {**self.last_metrics, f"best_{first}": self.best_value, "best_epoch": self.best_epoch}

    def test(self) -> None:
        """Compute the validation loss and test the network; keep it if it is the best, or the initial one."""
        self.network.eval()
        metrics = {} if self.validation is None else {"validation_loss": self._validation_loss(self.validation)}
        if self.epoch % self.config.eval.iter == 0 or self.is_finished:
            extract = self._extraction()
            for test in self.tests:
                metrics[on_dataset("mAP", test.name)] = (
                    describe_test_set(extract, test).result(test).mean_average_precision
                )
            self._keep_best(metrics[on_dataset("mAP", self.tests[0].name)])
        save_epochs = self.config.output.save_epochs
        if self.epoch == 0 or (save_epochs and self.epoch % save_epochs == 0):
            self.run.save(self._checkpoint(), self.epoch, EPOCH_CHECKPOINT.format(self.epoch))
        logger.info("epoch %d: %s", self.epoch, ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
        self.run.log(metrics, self.epoch)
        self.last_metrics, self.tested_epoch = {**self.last_metrics, **metrics}, self.epoch
        self._save()

    def mine(self) -> None:
        """Draw the tuples of the epoch and put them into a random order."""
        train, generator = self.config.train, self._generator()
        mined = mine_tuples(self._extraction(), self.pictures, train.queries, train.pool, train.negatives, generator)
        order = torch.randperm(len(mined.picture_TS), generator=generator)
        self.tuples = Tuples(mined.picture_TS[order], mined.negative_distance)
        self._save()

    def run_epoch(self) -> None:
        """Take the steps of the epoch that are left, and stop between two if the run is asked to."""
        assert self.tuples is not None
        set_epoch(self.optimizer, self.epoch, self.config.train.lr_decay)
        self.network.train()
        size, steps = self.config.train.batch_size, self.steps_per_epoch
        todo = self.tuples.picture_TS[self.step_in_epoch * size : steps * size]
        loader = self._loader(self.pictures, todo)
        batch: list[list[Tensor]] = []
        for pictures in loader:
            batch.append(pictures)
            if len(batch) == size:
                self._step(batch)
                batch = []
        mean_loss = float(self.loss_sum) / (steps * size)
        if not isfinite(mean_loss):
            raise TrainingDivergedError(f"epoch {self.epoch}: the loss is {mean_loss}; lower train.lr")
        self.epoch, self.step_in_epoch = self.epoch + 1, 0
        log = {running("loss"): mean_loss, "negative_distance": self.tuples.negative_distance}
        self.tuples = None
        self.loss_sum.zero_()
        self.run.log(log, self.epoch)
        self._save()

    def _step(self, batch: list[list[Tensor]]) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        for pictures in batch:
            loss = self._loss_of(pictures)
            loss.backward()
            self.loss_sum += loss.detach()
        self.optimizer.step()
        self.step_in_epoch += 1
        done = self.epoch * self.steps_per_epoch + self.step_in_epoch
        self.run.progress(done, self.config.train.epochs * self.steps_per_epoch)
        if self.run.should_stop:
            self._save()
            self.run.interrupt()
        if time.monotonic() - self._saved_at > self.config.runtime.checkpoint_seconds:
            self._save()

    def _loss_of(self, pictures: list[Tensor]) -> Tensor:
        """Return the loss of one tuple; its pictures differ in size and pass one by one."""
        vectors = [self.network(picture[None].to(self.device, non_blocking=True)) for picture in pictures]
        return self.loss(torch.stack(vectors, dim=1))

    @torch.no_grad()
    def _validation_loss(self, validation: TrainingSet) -> float:
        train = self.config.train
        draws = self._generator()
        return validation_loss(self._extraction(), validation, train.negatives, draws, self.loss, train.batch_size)

    def _loader(self, pictures: TrainingSet, picture_TS: Tensor) -> BatchLoader[list[Tensor]]:
        batches = _TupleImages(self._extraction(), pictures.files, picture_TS)
        on_gpu = self.device.type == "cuda"
        workers = self.config.runtime.num_workers
        return BatchLoader(batches, range(len(picture_TS)), workers, pin_memory=on_gpu, prefetch=2)

    def _stop_if_asked(self) -> None:
        """Leave before a test or the mining of an epoch is complete; what came before is saved."""
        if self.run.should_stop:
            self.run.interrupt()

    def _extraction(self) -> Extraction:
        config = self.config
        return Extraction(self.network, config.data.image_size, config.runtime.num_workers, self._stop_if_asked)

    def _generator(self) -> torch.Generator:
        """Return the source of the draws of this epoch."""
        return torch.Generator().manual_seed(self.run.seed + self.epoch)

    def _keep_best(self, value: float) -> None:
        if value > self.best_value:
            self.best_value, self.best_epoch = value, self.epoch
            self.run.save(self._checkpoint(), self.epoch, BEST_CHECKPOINT)

    def _checkpoint(self) -> dict[str, Any]:
        extra = {"epoch": self.epoch, "max_meter": self.best_value, "optimizer": self.optimizer.state_dict()}
        return on_cpu(checkpoint(self.network, **extra))

    def _save(self) -> None:
        self.run.save(self.state_dict(), self.epoch * self.steps_per_epoch + self.step_in_epoch)
        self._saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values from which :meth:`load_state_dict` goes on."""
        tuples = None if self.tuples is None else (self.tuples.picture_TS, self.tuples.negative_distance)
        return {
            **on_cpu({"net": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}),
            "progress": {name: getattr(self, name) for name in _PROGRESS},
            "loss_sum": float(self.loss_sum),
            "tuples": tuples,
            "last_metrics": self.last_metrics,
            "training_time": self.clock.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.network.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name in _PROGRESS:
            setattr(self, name, state["progress"][name])
        self.loss_sum.fill_(state["loss_sum"])
        self.tuples = None if state["tuples"] is None else Tuples(*state["tuples"])
        self.last_metrics = dict(state["last_metrics"])
        self.clock.go_on_from(state.get("training_time", 0.0))
        logger.info("going on in epoch %d, after step %d", self.epoch, self.step_in_epoch)


_PROGRESS = ("epoch", "step_in_epoch", "tested_epoch", "best_value", "best_epoch")


@dataclass(frozen=True)
class _TupleImages:
    """Number of a tuple -> its pictures."""

    extract: Extraction
    files: Sequence[Path]
    picture_TS: Tensor

    def __getitem__(self, number: int) -> list[Tensor]:
        pictures = self.extract.pictures(self.files)
        return [pictures[k] for k in self.picture_TS[number].tolist()]


def build_start_network(config: CfgNode) -> RetrievalNetwork:
    """Return the network to start from: the random weights are drawn from the seed, then files replace them.

    Raises:
        CheckpointError: a file cannot be read or does not fit.
    """
    generator = torch.Generator().manual_seed(config.random_seed)
    network = build_network(NetworkDescription.from_config(config.network), generator)
    if config.init.whitening:
        load_whitening_layer(network, config.init.whitening)
    if config.init.network:
        load_init_model(network, config.init.network)
    logger.info("weights: %s", config.init.network or f"random, seed {config.random_seed}")
    return network


def _check_enough(pictures: TrainingSet, first_test: TestSet, batch_size: int) -> None:
    if len(pictures.query_M) < batch_size:
        raise DataError(
            f"{pictures.name}: expected at least train.batch_size ({batch_size}) pairs, got {len(pictures.query_M)}; "
            "lower train.batch_size, or prepare more images"
        )
    if not any(len(relevance.ok) for relevance in first_test.relevance):
        raise DataError(
            f"{first_test.name}: no query of this test set, the first of data.tests, has a picture to find, so it "
            "cannot decide which network is the best; name another one first"
        )
