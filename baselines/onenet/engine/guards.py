"""What to do about steps that could not change the network."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from os2d.engine.skipped_steps import LARGEST_SCALING_ROW
from os2d.errors import TrainingDivergedError

logger = logging.getLogger(__name__)


class DivergenceGuard:
    """Ends a training whose loss or gradient is no number; the network is still that of the step before.

    In fp16 a gradient may overflow because of the scaler's factor: such steps are given up, but not for ever.
    """

    def __init__(self) -> None:
        self.rescaled_in_a_row = 0

    def step_was_taken(self) -> None:
        """End the row of steps given up."""
        self.rescaled_in_a_row = 0

    def step_was_rescaled(self, iteration: int) -> None:
        """Note a step of fp16 whose scaled gradient overflowed.

        Raises:
            TrainingDivergedError: no factor helps.
        """
        self.rescaled_in_a_row += 1
        logger.debug("iteration %d: the scaled gradient overflows; the scale is lowered", iteration)
        if self.rescaled_in_a_row == LARGEST_SCALING_ROW:
            raise TrainingDivergedError(
                f"iteration {iteration}: no scale keeps the gradient finite in fp16; set SOLVER.AMP.PRECISION bf16, or "
                "SOLVER.AMP.ENABLED False"
            )

    def step_was_refused(self, iteration: int, meters: Mapping[str, float], lr: float) -> None:
        """End the training.

        Raises:
            TrainingDivergedError: always; it tells what was measured and what usually helps.
        """
        values = ", ".join(f"{name} {value:g}" for name, value in meters.items())
        raise TrainingDivergedError(
            f"iteration {iteration}: the loss or its gradient is not a finite number ({values}) at learning rate "
            f"{lr:g}; lower SOLVER.BASE_LR (the published one is for 64 images per iteration, and is not scaled when "
            "SOLVER.IMS_PER_BATCH is smaller), raise SOLVER.WARMUP_ITERS or set SOLVER.CLIP_GRADIENTS.ENABLED True. "
            "The last checkpoint is of before this iteration"
        )
