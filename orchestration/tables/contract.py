"""What a table asks of the place where results are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from orchestration.describe_tables import Column
from orchestration.tables.result import CellState
from orchestration.trial_description import Trial


class TrialResults(Protocol):
    """What a source knows of one trial."""

    @property
    def state(self) -> CellState:
        """The state of the trial."""

    @property
    def reason(self) -> str:
        """Why it is in that state, in words; may be empty."""

    @property
    def code(self) -> str:
        """The code tree its last attempt ran, or an empty text when unknown."""

    @property
    def metric_names(self) -> Sequence[str]:
        """The metrics that it logged."""

    def value(self, column: Column) -> float | None:
        """Return the column's metric reduced over steps, unscaled; None when there is no number."""


class Source(Protocol):
    """Where results are read."""

    def results(self, trials: Sequence[Trial]) -> Mapping[str, TrialResults]:
        """Return signature -> results for the trials that were started at least once."""

    def address(self, signatures: Iterable[str]) -> str:
        """Return the page that shows those of the trials that were read; empty when there is none."""
