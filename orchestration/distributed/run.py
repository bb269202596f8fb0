"""What a task sees in every process but the first: the same run, of which nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestration.trial_run import TrialRun


class FollowerRun(TrialRun):
    """Keeps the step, resumes what the first process resumes, and leaves all writing to it."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep the step; what cannot be logged is refused as in the first process."""
        self._values(metrics, step)
        self.step = max(self.step, step)

    def save(self, state: Mapping[str, Any], step: int, name: str | None = None) -> Path:
        """Return where the first process writes the checkpoint."""
        return self._checkpoints.path(step, name)

    def resume(self) -> Mapping[str, Any] | None:
        """Return the state that the first process has resumed."""
        assert self._team is not None
        step = self._team.chosen_checkpoint()
        if step is None:
            return None
        self.step = step
        return self._checkpoints.at(step)

    def artifact(self, name: str, content: Any) -> Path:
        """Return where the first process keeps the file."""
        return self._artifact_path(name)

    def event(self, kind: str, **details: Any) -> None:
        """Leave the telling to the first process."""
