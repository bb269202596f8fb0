"""Runs that are asked to stop soon after they start."""

from __future__ import annotations


class Impatient:
    """To put before the class of a run: asks it to stop after so many questions whether it should."""

    patience = 2
    asked = 0

    @property
    def should_stop(self) -> bool:
        """Return whether the patience is over."""
        self.asked += 1
        return self.asked > self.patience

    @should_stop.setter
    def should_stop(self, value: bool) -> None:
        """Ignore what the run itself says."""
