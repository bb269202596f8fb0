"""What a trained network cost: kept beside it by its training, told again by whoever evaluates it.

The metrics are ``training_time``, in seconds without the evaluations between, and ``parameters``. An evaluation that
needs several trained networks tells the sums.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from os2d.run import Run

TRAINING_TIME, PARAMETERS = "training_time", "parameters"

COST_FILE = "training_cost.json"


class TrainingClock:
    """Counts the seconds of a training over all its interruptions; they are part of its saved state."""

    def __init__(self) -> None:
        self._before, self._since = 0.0, time.monotonic()

    @property
    def seconds(self) -> float:
        """The time that counts, up to now."""
        return self._before + time.monotonic() - self._since

    def go_on_from(self, seconds: float) -> None:
        """Count from now on what comes after so many seconds."""
        self._before, self._since = seconds, time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out what is done meanwhile."""
        seconds = self.seconds
        try:
            yield
        finally:
            self.go_on_from(seconds)


def keep_cost(run: Run, clock: TrainingClock, *networks: nn.Module) -> dict[str, float]:
    """Write down what a finished training cost, and return it as metrics to be logged."""
    cost = {TRAINING_TIME: clock.seconds, PARAMETERS: float(count_parameters(*networks))}
    run.artifact(COST_FILE, json.dumps(cost))
    return cost


def count_parameters(*networks: nn.Module) -> int:
    """Return how many numbers the networks learn, or have been given."""
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


def told_costs(inputs: Mapping[str, Path]) -> dict[str, float]:
    """Return the training times of needed runs, added up, as a metric; nothing where no training is among them."""
    files = [folder / "artifacts" / COST_FILE for folder in inputs.values()]
    seconds = [json.loads(file.read_text(encoding="utf-8"))[TRAINING_TIME] for file in files if file.is_file()]
    return {TRAINING_TIME: float(sum(seconds))} if seconds else {}
