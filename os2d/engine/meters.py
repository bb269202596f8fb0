"""Means of what training measures between two evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Meters:
    """Sums since the last reset."""

    def __init__(self) -> None:
        self.steps = 0
        self._sums: dict[str, float] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """Add the values of one step."""
        self.steps += 1
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Return the mean of every meter; nothing without a step."""
        return {name: total / self.steps for name, total in self._sums.items()}

    def mean(self, name: str) -> float:
        """Return the mean of one meter."""
        return self._sums[name] / self.steps

    def state_dict(self) -> dict[str, Any]:
        """Return plain numbers that restore the sums exactly."""
        return {"steps": self.steps, "sums": dict(self._sums)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.steps, self._sums = state["steps"], dict(state["sums"])
