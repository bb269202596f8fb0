"""Steps that could not change the network because a loss or a gradient was not finite."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from os2d.errors import TrainingDivergedError

logger = logging.getLogger(__name__)

LARGEST_SKIPPED_ROW = 10
"""So many steps in a row without a finite gradient end the training."""

LARGEST_SCALING_ROW = 50
"""The scaler of fp16 halves its factor at every step it gives up; after so many the factor is not the reason."""


class SkippedSteps:
    """Counts them, keeps the first of a row for inspection, gives up after many."""

    def __init__(self) -> None:
        self.in_a_row = 0
        self.total = 0
        self.rescaled_in_a_row = 0

    def step_was_taken(self) -> None:
        """End the row."""
        self.in_a_row = self.rescaled_in_a_row = 0

    def step_was_rescaled(self, step: int) -> None:
        """Note a step that the scaler of fp16 gave up to try with a smaller factor: that is how it finds the factor."""
        self.rescaled_in_a_row += 1
        logger.debug("step %d: the scaled gradient overflows; the scale is lowered", step)
        if self.rescaled_in_a_row == LARGEST_SCALING_ROW:
            raise TrainingDivergedError(
                f"step {step}: no scale keeps the gradient finite in fp16; try train.precision bf16 or fp32"
            )

    def step_was_skipped(self, step: int, meters: Mapping[str, float], lr: float, dump: Callable[[], object]) -> None:
        """Note a step without a finite gradient.

        Args:
            step: number of the step, from 1.
            meters: what it measured.
            lr: the learning rate.
            dump: writes what is needed to look into the step, and returns where.

        Raises:
            TrainingDivergedError: it is the last of a long row.
        """
        self.total += 1
        self.in_a_row += 1
        logger.warning("step %d: the gradient is not finite; the step is skipped", step)
        if self.in_a_row == 1:
            logger.warning("the batch, the network and the gradient are in %s", dump())
        if self.in_a_row == LARGEST_SKIPPED_ROW:
            raise TrainingDivergedError(
                f"step {step}: the gradient was not finite for {LARGEST_SKIPPED_ROW} steps in a row "
                f"(loss {meters['loss']}, gradient norm {meters['grad_norm']}); try a lower train.optim.lr "
                f"(now {lr:g}) or train.optim.max_grad_norm; the first such step is dumped as error_nan_appeared-*.pth"
            )

    def state_dict(self) -> list[int]:
        """Return plain numbers."""
        return [self.in_a_row, self.total, self.rescaled_in_a_row]

    def load_state_dict(self, state: list[int]) -> None:
        """Go on from a saved state."""
        self.in_a_row, self.total, *rescaled = state
        self.rescaled_in_a_row = rescaled[0] if rescaled else 0
