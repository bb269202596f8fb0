"""The trials of one launch under SLURM: submitted where they have no job, followed until their jobs have ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from orchestration.attempt import now_ms
from orchestration.ending import Ending, Outcome
from orchestration.journal import TrialFolder
from orchestration.launch.slurm.arrays import Array, arrays, limits
from orchestration.launch.slurm.limits import most_elements
from orchestration.launch.slurm.options import SlurmOptions
from orchestration.launch.slurm.submission import Ledger, Manifest, queue_name
from orchestration.launch.slurm.submit import submit
from orchestration.retry import judge
from orchestration.runs import Runs
from orchestration.slurm.command import SlurmError
from orchestration.slurm.current_job import JOB_PREFIX
from orchestration.slurm.queue import (
    ENDINGS,
    NEVER_SATISFIED,
    JobState,
    endings,
    forget_snapshot,
    snapshot,
)
from orchestration.trial_description import Trial

MOST_SUBMISSIONS = 10
"""Jobs submitted for one trial in one launch that ended before any worker could start."""
QUEUE_SECONDS = 5.0


class Following:
    """Trials, in dependency order, and what became of them.

    Args:
        trials: of the launch.
        runs: where their folders are.
        options: of the launch.
    """

    def __init__(self, trials: Sequence[Trial], runs: Runs, options: SlurmOptions) -> None:
        self.given_up: dict[str, str] = {}
        self.jobs: dict[str, str] = {}
        self._open = {trial.signature: trial for trial in trials}
        self._blocked: set[str] = set()
        self._missing: Counter[str] = Counter()
        self._jobs_without_attempt: Counter[str] = Counter()
        self._runs = runs
        self._options = options
        self._ledger = Ledger(runs.root)

    def is_over(self) -> bool:
        """Tell whether every trial is done, given up or blocked."""
        return not self._open

    def submit(self) -> None:
        """Give a job to every trial that has none and may get one; those of other launches are taken over."""
        self._forget_done()
        if all(signature in self.jobs for signature in self._open):
            return
        with self._ledger.locked():
            forget_snapshot()
            queue = snapshot()
            self._ledger.adopt(queue)
            for signature, job in self._ledger.waiting(queue).items():
                if signature in self._open:
                    self._note(signature, job)
            self._submit_the_rest()
            forget_snapshot()

    def look(self) -> None:
        """See which trials are done and which jobs have ended; submit again what deserves it."""
        self._forget_done()
        queue = snapshot(QUEUE_SECONDS)
        gone = []
        for signature, job in self.jobs.items():
            # Twice: a job that has just begun or ended may be missed once, and files of other nodes come late.
            self._missing[job] = 0 if job in queue else self._missing[job] + 1
            if self._missing[job] >= 2:
                gone.append(signature)
        if gone:
            self._forget_done()
            self._conclude([signature for signature in gone if signature in self._open])
            self.submit()

    def _forget_done(self) -> None:
        for signature in [signature for signature in self._open if self._runs.folder(signature).is_done()]:
            self._close(signature)

    def _close(self, signature: str) -> None:
        self._open.pop(signature, None)
        self.jobs.pop(signature, None)

    def _submit_the_rest(self) -> None:
        waiting = [trial for trial in self._open.values() if trial.signature not in self.jobs]
        largest = most_elements() if waiting else 0
        while waiting:
            ready = []
            for trial in list(waiting):
                needs = [need for need in trial.needs.values() if not self._runs.folder(need).is_done()]
                if self._is_unwanted(trial) or any(need not in self._open for need in needs):
                    self._blocked.add(trial.signature)
                    self._close(trial.signature)
                    waiting.remove(trial)
                elif all(need in self.jobs for need in needs):
                    ready.append(trial)
            parts = arrays(ready, self.jobs, self._options.resources_of, largest)
            for part, limit in zip(parts, limits(self._options.slots, parts), strict=True):
                self._submit_one(part, limit)
            waiting = [trial for trial in waiting if trial.signature not in self.jobs]

    def _is_unwanted(self, trial: Trial) -> bool:
        wish = self._runs.folder(trial.signature).cancel_wish()
        if wish is not None:
            self.given_up[trial.signature] = wish.told
        return wish is not None

    def _submit_one(self, array: Array, limit: int | None) -> None:
        submission = self._ledger.new()
        experiment = next(iter(array.trials.values())).experiment
        manifest = Manifest(
            name=queue_name(experiment, submission),
            runs=self._runs.root,
            directory=Path.cwd(),
            resources=array.resources,
            trials={index: trial.signature for index, trial in array.trials.items()},
        )
        submission.freeze(manifest)
        try:
            number = submit(submission, manifest.name, array, limit, self._options)
        except SlurmError:
            submission.note_job("")  # refused; after any other end of ours the queue tells the next launch
            raise
        submission.note_job(number)
        for index, trial in array.trials.items():
            self._note(trial.signature, f"{JOB_PREFIX}{number}_{index}")

    def _note(self, signature: str, job: str) -> None:
        self.jobs[signature] = job
        self._runs.note_job(signature, job)

    def _conclude(self, signatures: Sequence[str]) -> None:
        """Decide about trials without a result whose jobs have left the queue."""
        ended = endings(self.jobs[signature] for signature in signatures)
        for signature in signatures:
            folder, job = self._runs.folder(signature), self.jobs[signature]
            last = folder.last_attempt()
            if last is not None and last.is_live():
                continue  # with another launch, or its node died so lately that it may still be there
            del self.jobs[signature]
            reason = self._reason_to_give_up(folder, job, ended.get(job, JobState("")))
            if reason is not None:
                self.given_up[signature] = reason
                self._close(signature)

    def _reason_to_give_up(self, folder: TrialFolder, job: str, ended: JobState) -> str | None:
        """Return why a trial gets no further job, or None when it does."""
        wish, request = folder.cancel_wish(), folder.request()
        if wish is not None:
            return wish.told
        words = self._ledger.last_words(job)
        if words.given_up:
            return words.given_up
        number = job.removeprefix(JOB_PREFIX)
        attempts = folder.attempts()
        if attempts and attempts[-1].ending is None:
            how = f"its job {number} ended: {ended.state or 'SLURM does not say how'}"
            attempts[-1].close(Ending(ENDINGS.get(ended.state, Outcome.LOST), now_ms(), how))
        if ended.state == "CANCELLED" and ended.reason != NEVER_SATISFIED:
            return f"its job {number} was cancelled; the same command submits the trial again"
        if not any(attempt.owner.job == job for attempt in attempts):
            return self._reason_without_attempt(folder, job, ended, words.last)
        before = request.attempts_before if request else 0
        verdict = judge([attempt for attempt in folder.attempts() if attempt.number > before])
        return verdict.reason if verdict.pause_seconds is None else None

    def _reason_without_attempt(self, folder: TrialFolder, job: str, ended: JobState, said: str) -> str | None:
        number = job.removeprefix(JOB_PREFIX)
        self._jobs_without_attempt[folder.signature] += 1
        if ended.reason == NEVER_SATISFIED:
            return None  # what it waited for decides at the next submission
        if ended.state in ENDINGS or (not ended.state and not said):
            most = self._jobs_without_attempt[folder.signature] >= MOST_SUBMISSIONS
            return f"{MOST_SUBMISSIONS} jobs ended before a worker could start, the last one {number}" if most else None
        return f"its job {number} ended before a worker could start: {said or ended.state}; see {self._ledger.log(job)}"
