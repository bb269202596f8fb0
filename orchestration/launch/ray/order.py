"""The order in which Tune gets trials: each as soon as everything it needs is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from orchestration.launch.ray.trainable import Session
from orchestration.runs import Runs
from orchestration.trial_description import Trial


class NeedsFirst(Searcher):
    """Hands out the trials of a launch; Tune calls it a search algorithm.

    Args:
        trials: in dependency order.
        runs: where their folders are; whether a need is done is read from there.
        session: of the launch; nothing is handed out once it is asked to stop.
    """

    def __init__(self, trials: Sequence[Trial], runs: Runs, session: Session) -> None:
        super().__init__(metric=None, mode="max")
        self._waiting = list(trials)
        self._running: set[str] = set()
        self._runs = runs
        self._session = session

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Accept whatever Tune says about the metric: the order does not depend on it."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial; None to be asked again later, ``FINISHED`` when there is none."""
        if self._session.is_stopping():
            return Searcher.FINISHED
        for trial in self._waiting:
            if all(self._runs.folder(need).is_done() for need in trial.needs.values()):
                self._waiting.remove(trial)
                self._running.add(trial_id)
                folder = self._runs.folder(trial.signature).path
                return {"folder": str(folder), "session": str(self._session.folder), "cwd": str(Path.cwd())}
        # With nothing running, what the rest needs was given up.
        return None if self._waiting and self._running else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Note that a trial has ended, well or not."""
        self._running.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: the trial folders are the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing back."""
