"""Running means of what training measures, without waiting for the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


class Meters:
    """Sums since the last reset; tensors stay where they are until a mean is asked for."""

    def __init__(self) -> None:
        self.steps = 0
        self._sums: dict[str, Tensor | float] = {}

    def add(self, values: Mapping[str, Tensor | float]) -> None:
        """Add the values of one step, averaging tensors over their elements."""
        self.steps += 1
        for name, value in values.items():
            number = value.detach().double().mean() if isinstance(value, Tensor) else value
            self._sums[name] = self._sums.get(name, 0.0) + number

    def means(self) -> dict[str, float]:
        """Return the mean of every meter; nothing without a step."""
        return {name: float(total) / self.steps for name, total in self._sums.items()}

    def mean(self, name: str) -> float:
        """Return the mean of one meter."""
        return float(self._sums[name]) / self.steps

    def reset(self) -> None:
        """Start again."""
        self.__init__()  # type: ignore[misc]

    def state_dict(self) -> dict[str, Any]:
        """Return plain numbers that restore the sums exactly."""
        return {"steps": self.steps, "sums": {name: float(total) for name, total in self._sums.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.steps, self._sums = state["steps"], dict(state["sums"])
