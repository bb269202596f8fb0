"""When a training evaluates and when its learning rate drops: between two epochs, which are counted from 1."""

from __future__ import annotations

from dataclasses import dataclass

from yacs.config import CfgNode


@dataclass(frozen=True)
class Schedule:
    """The events of a training.

    Args:
        epochs: how many there are.
        steps_per_epoch: in each.
        evaluate_before: evaluate before an epoch whose number is a multiple of this.
        milestones: epochs before which the learning rate drops.
    """

    epochs: int
    steps_per_epoch: int
    evaluate_before: int
    milestones: tuple[int, ...]

    @staticmethod
    def from_config(config: CfgNode, steps_per_epoch: int) -> Schedule:
        """Return the schedule of a configuration."""
        optim = config.train.optim
        return Schedule(config.train.epochs, steps_per_epoch, config.eval.iter, tuple(optim.milestones))

    @property
    def steps(self) -> int:
        """How many there are in all."""
        return self.epochs * self.steps_per_epoch

    def epoch_of(self, step: int) -> int:
        """Return the epoch that a step, from 0, belongs to."""
        return step // self.steps_per_epoch + 1

    def evaluates_after(self, epoch: int) -> bool:
        """Return whether there is an evaluation between an epoch and the next; there always is one at the end."""
        return epoch > 0 and ((epoch + 1) % self.evaluate_before == 0 or epoch == self.epochs)

    def next_event(self, step: int) -> int:
        """Return the first step after this one before which something may happen."""
        for epoch in range(self.epoch_of(step), self.epochs):
            if self.evaluates_after(epoch) or epoch + 1 in self.milestones:
                return epoch * self.steps_per_epoch
        return self.steps
