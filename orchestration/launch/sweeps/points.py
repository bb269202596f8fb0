"""A sweep over points: trials are stopped by a rule, and further points may be chosen from what the others gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestration.describe import ASHA, HyperBand, Sweep
from orchestration.journal import TrialFolder
from orchestration.journal_records import State
from orchestration.launch.sweeps.contract import Rule
from orchestration.plan import Entry, Plan, plan
from orchestration.runs import Runs
from orchestration.sweep.record import Suggestion, SweepRecord
from orchestration.sweep.search import Observation, suggest
from orchestration.trial_description import Trial
from orchestration.trial_state import state_of


class PointRun:
    """One run of the driver of such a sweep. What earlier runs decided is in the record, what they measured in folders.

    Args:
        sweep: with the points that were chosen so far.
        planned: the plan it is part of.
        runs: where its trials are.
        record: of its decisions; held by this process.
        import_paths: where its task is imported from.
    """

    def __init__(
        self, sweep: Sweep, planned: Plan, runs: Runs, record: SweepRecord, import_paths: Sequence[str] | None
    ) -> None:
        self.sweep = sweep
        self.on_new_trial: Callable[[Trial], object] = lambda trial: None
        self.trials = list({trial.signature: trial for trial in planned.trials_of(sweep.name)}.values())
        self._plan = planned
        self._runs = runs
        self._record = record
        self._import_paths = import_paths
        self._pruned = record.pruned()
        self._rule: Rule | None = None
        self._active: set[str] = set()
        self._points = planned.trials_of(sweep.name)
        self._without_score: dict[str, str] = {}
        self._waiting: list[Trial] = []
        for trial in self.trials:
            folder = runs.folder(trial.signature)
            if folder.is_done():
                self._require_score(trial.signature)
            elif trial.signature in self._pruned:
                if state_of(folder) not in (State.PRUNED, State.RUNNING):  # it was decided, and the driver killed
                    folder.prune(f"sweep {sweep.name!r}")
            else:
                self._waiting.append(trial)

    def begin(self, rule: Rule) -> None:
        """Take the rule, and let it see what was measured before, in the order in which it was."""
        self._rule = rule
        for trial in self._waiting:
            self._runs.ask(trial, self._import_paths)
        waiting = {trial.signature for trial in self._waiting}
        for signature, step, value in self._history(self.trials):
            if rule.stops(signature, step, value) and signature in waiting:
                self._prune(signature, step)
                self._waiting = [trial for trial in self._waiting if trial.signature != signature]

    @property
    def is_finished(self) -> bool:
        """Whether no trial is left to start."""
        return not self._waiting and (not self._can_choose or bool(self._without_score))

    def next_trial(self) -> Trial | None:
        """Return a trial that is known and has not ended, else one at a new point."""
        if not self._waiting and self._can_choose and not self._without_score:
            self._choose()
        if not self._waiting:
            return None
        trial = self._waiting.pop(0)
        self._active.add(trial.signature)
        return trial

    def learn(self, signature: str, step: int, value: float) -> bool:
        """Tell whether the rule stops the trial here; then it is pruned."""
        stops = self._rule is not None and self._rule.stops(signature, step, value)
        if stops:
            self._prune(signature, step)
        return stops

    def note_end(self, signature: str, failed: bool) -> None:
        """Take notice that the worker of a trial has ended."""
        self._active.discard(signature)
        if self._runs.folder(signature).is_done():
            self._require_score(signature)

    def reasons(self) -> dict[str, str]:
        """Return signature -> why it tells nothing about the metric."""
        return self._without_score

    @property
    def _can_choose(self) -> bool:
        return self.sweep.is_adaptive and len(self._points) < self.sweep.size

    def _choose(self) -> None:
        """Choose points until one of them is a trial that has to run; the record knows each before anything else."""
        while self._can_choose and not self._waiting:
            index = len(self._points)
            point = suggest(self.sweep, index, [self._observation(trial) for trial in self._points])
            trial, entry = self._trial_at(index, point)
            self._record.note_suggested(Suggestion(index, point), trial.signature)
            is_new = all(trial.signature != known.signature for known in self.trials)
            self._points.append(trial)
            if not is_new:
                continue
            self.trials.append(trial)
            self.on_new_trial(trial)
            folder = self._runs.create(trial)
            self._runs.link(entry)
            if folder.is_done():
                for signature, step, value in self._history([trial]):
                    if self._rule is not None:
                        self._rule.stops(signature, step, value)
                self._require_score(trial.signature)
            else:
                self._runs.ask(trial, self._import_paths)
                self._waiting.append(trial)

    def _trial_at(self, index: int, point: dict[str, object]) -> tuple[Trial, Entry]:
        """Return the trial of a point behind the known ones, and what the sweep calls it."""
        name = self.sweep.name
        known = self.sweep.searcher.known_points if self.sweep.searcher else 0
        chosen = [*(trial.point for trial in self._points[known:index]), point]
        planned = plan(self._plan.experiments, [name], {name: chosen})
        entry = [entry for entry in planned.entries if entry.experiment == name][-1]
        return planned.trials_of(name)[-1], entry

    def _prune(self, signature: str, step: int) -> None:
        why = f"sweep {self.sweep.name!r}: {_verdict(self.sweep, step)}"
        self._pruned.add(signature)
        self._record.note_pruned(signature, step, why)
        self._runs.folder(signature).prune(why)

    def _observation(self, trial: Trial) -> Observation:
        folder = self._runs.folder(trial.signature)
        if folder.is_done():
            return Observation(trial.point, "done", scores_of(folder, self.sweep.metric))
        if trial.signature in self._pruned:
            return Observation(trial.point, "pruned", scores_of(folder, self.sweep.metric))
        is_open = trial.signature in self._active | {waiting.signature for waiting in self._waiting}
        return Observation(trial.point, "open" if is_open else "failed")

    def _history(self, trials: Sequence[Trial]) -> list[tuple[str, int, float]]:
        points = [
            (point.time_ms, trial.signature, point.step, point.value)
            for trial in trials
            for point in self._runs.folder(trial.signature).metrics()
            if point.name == self.sweep.metric
        ]
        return [(signature, step, value) for _, signature, step, value in sorted(points)]

    def _require_score(self, signature: str) -> None:
        folder = self._runs.folder(signature)
        if not scores_of(folder, self.sweep.metric):
            logged = ", ".join(sorted({point.name for point in folder.metrics()})[:8]) or "nothing"
            self._without_score[signature] = (
                f"it did not log {self.sweep.metric!r}, the metric of sweep {self.sweep.name!r}; it logged {logged}"
            )


def scores_of(folder: TrialFolder, metric: str) -> dict[int, float]:
    """Return step -> value of one metric."""
    return {point.step: point.value for point in folder.metrics() if point.name == metric}


def _verdict(sweep: Sweep, step: int) -> str:
    """Return in words why a trial was stopped at a step."""
    rule = sweep.scheduler
    if isinstance(rule, ASHA | HyperBand):
        rung = max(rung for rung in rule.rungs if rung <= step)
        return f"not among the best 1/{rule.reduction_factor:g} at rung {rung:g} ({type(rule).__name__})"
    return f"its best value is worse than the median of the others ({type(rule).__name__})"
