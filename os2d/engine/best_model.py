"""The best network so far by one metric of one data set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yacs.config import CfgNode

from os2d.engine.initial_weights import best_checkpoint_name
from os2d.metric_names import best_model_metric, on_dataset


@dataclass
class BestModel:
    """What the best network reached, and where its checkpoint lies (relative to the folder of the run)."""

    dataset: str
    metric: str
    mode: str
    value: float | None = None
    iteration: int = -1
    checkpoint: str = ""

    @staticmethod
    def from_config(config: CfgNode) -> BestModel | None:
        """Return the tracker of ``output.best_model``, or None if it is off."""
        if not config.output.best_model.do_get_best_model:
            return None
        return BestModel(*best_model_metric(config), config.output.best_model.mode)

    @property
    def name(self) -> str:
        """The criterion's name in the log."""
        return on_dataset(self.metric, self.dataset)

    @property
    def checkpoint_name(self) -> str:
        """The file name of the checkpoint."""
        return best_checkpoint_name(self.dataset, self.metric)

    def improves(self, value: float) -> bool:
        """Tell whether a value is strictly better; the first one is, and a number is better than NaN."""
        if self.value is None or math.isnan(value) or math.isnan(self.value):
            return self.value is None or (math.isnan(self.value) and not math.isnan(value))
        return value > self.value if self.mode == "max" else value < self.value

    def criterion(self, value: float) -> dict[str, Any]:
        """Return what a checkpoint that reached ``value`` says about it."""
        return {
            "criterion_dataset": self.dataset,
            "criterion_metric": self.metric,
            "criterion_mode": self.mode,
            "criterion_value": value,
            "criterion_value_old": self.value,
        }

    def metrics(self) -> dict[str, float]:
        """Return the best value and its iteration, as final metrics."""
        return {f"best_{self.name}": math.nan if self.value is None else self.value, "best_iteration": self.iteration}

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"value": self.value, "iteration": self.iteration, "checkpoint": self.checkpoint}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.value, self.iteration, self.checkpoint = state["value"], state["iteration"], state["checkpoint"]
