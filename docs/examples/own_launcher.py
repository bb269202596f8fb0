"""A launcher of your own: one trial at a time, with the whole machine for itself.

    python docs/examples/own_launcher.py docs/examples/own_task.py

It shows all that a launcher has to do. What a worker does, when a trial may be tried again, and what is shown meanwhile
is not its business.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from orchestration.experiment_file import ExperimentFile
from orchestration.journal import TrialFolder
from orchestration.launch import Halt
from orchestration.launch.driver import launch
from orchestration.launch.machine import available_cpus, require_fit, visible_gpus
from orchestration.launch.worker import MOST_STARTS, Next, Worker
from orchestration.plan import Trial, plan
from orchestration.runs import Runs


class OneAtATime:
    """Runs trials one after another on this machine, in the order of the plan."""

    outlives_driver = False

    def check(self, trials: Sequence[Trial]) -> None:
        """Refuse trials that this machine can never run, before any of them starts."""
        require_fit(trials, [(available_cpus(), len(visible_gpus()))], "this machine")

    def run(self, trials: Sequence[Trial], runs: Runs, halt: Halt) -> dict[str, str]:
        """Run every trial whose needs are done; return signature -> reason of those that were given up."""
        given_up: dict[str, str] = {}
        for trial in trials:
            needed = [runs.folder(signature) for signature in trial.needs.values()]
            if halt.asked or not all(folder.is_done() for folder in needed):  # then it is blocked: readers see why
                continue
            if reason := self._run_to_its_end(trial, runs.folder(trial.signature), halt):
                given_up[trial.signature] = reason
        return given_up

    def _run_to_its_end(self, trial: Trial, folder: TrialFolder, halt: Halt) -> str:
        """Start workers until one of them finishes the trial; return why it was given up, or nothing."""
        request = folder.request()
        attempts_before = request.attempts_before if request else 0
        for _ in range(MOST_STARTS):
            if (wish := folder.cancel_wish()) is not None:
                return f"cancelled by {wish.why}"
            worker = Worker(folder, trial.resources, gpus=",".join(visible_gpus()))
            try:
                self._wait_for(worker, halt)
            finally:
                worker.kill()
            step = worker.conclude(attempts_before)
            if step.next is Next.DONE or halt.asked:
                return ""
            if step.next is Next.GIVE_UP:
                return step.reason
            halt.wait(max(step.pause_seconds, 1.0))
        return f"it did not finish in {MOST_STARTS} attempts"

    def _wait_for(self, worker: Worker, halt: Halt) -> None:
        """Wait until a worker has ended; pass the wish to stop on to it, which then saves and ends."""
        is_asked = False
        while not worker.has_ended() and not halt.forced:
            if halt.asked and not is_asked:
                worker.ask_to_stop()
                is_asked = True
            worker.wait(0.2)


if __name__ == "__main__":
    file = ExperimentFile(Path(sys.argv[1]))
    planned = plan(file.descriptions(sys.argv[2:]))
    summary = launch(planned, Runs(Path("runs")), OneAtATime(), Console(), file.import_paths)
    sys.exit(summary.exit_code)
