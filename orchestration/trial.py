"""What every worker runs, wherever it runs: ``python -m orchestration.trial <trial folder>``.

It claims the trial, always resumes what is there, and exits with 0 when the trial is done or somebody else is at it,
75 when it was stopped and can be resumed, 2 for a configuration that cannot work, and another code for a failure.

Where several processes compute the trial, this one only supervises them (:mod:`orchestration.distributed.supervisor`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from orchestration.attempt import Attempt, Held, now_ms
from orchestration.distributed.node import Node, this_node
from orchestration.ending import Ending, Outcome
from orchestration.errors import ExitCode, JournalError, LaunchError, OrchestrationError, StoppedForGoodError
from orchestration.journal import TrialFolder
from orchestration.signature import SHOWN_DIGITS
from orchestration.stop import Pulse, StopRequest
from orchestration.task_run import redirect_output, run_task
from orchestration.trial_description import Trial
from orchestration.trial_run import TrialRun


def work(folder: TrialFolder) -> int:
    """Run the trial in a folder to its end, or as far as it may; return the exit code."""
    trial = folder.trial_to_run()
    if folder.is_done():
        print(f"{trial.name}: already done")
        return ExitCode.DONE
    _require_no_wish(folder, trial)
    _require_inputs(folder, trial)
    stop = StopRequest()
    stop.listen()
    node = this_node(trial.resources)
    if node.rank > 0:
        return _assist(folder, trial, stop, node)
    claim = folder.claim()
    if isinstance(claim, Held):
        print(f"{trial.name}: already running (host {claim.by.host}, pid {claim.by.pid}, attempt {claim.by.number})")
        return ExitCode.DONE
    if folder.is_done():  # finished between the first look and the claim
        claim.close(Ending(Outcome.OK, now_ms(), "another attempt had just finished", exit_code=0))
        return ExitCode.DONE
    terminal = redirect_output(claim)
    try:
        if trial.resources.is_distributed:
            ending = _attempt_of_many(folder, trial, claim, stop, node)
        else:
            ending = _attempt(folder, trial, claim, stop)
        claim.close(ending)
    except JournalError as error:
        os.write(terminal, f"error: {error}\n".encode())
        return error.exit_code
    if ending.outcome not in (Outcome.OK, Outcome.PREEMPTED, Outcome.TIMEOUT):
        os.write(terminal, f"error: {ending.message}\n(log: {claim.stderr})\n".encode())
    return ExitCode.DONE if ending.outcome is Outcome.OK else max(ending.exit_code or 0, ExitCode.FAILED)


def main() -> int:
    """Run the trial folder named on the command line."""
    if len(sys.argv) != 2:
        print("usage: python -m orchestration.trial <trial folder>", file=sys.stderr)
        return ExitCode.WRONG_INPUT
    try:
        return work(TrialFolder(Path(sys.argv[1]).absolute()))
    except OrchestrationError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _attempt(folder: TrialFolder, trial: Trial, attempt: Attempt, stop: StopRequest) -> Ending:
    pulse = Pulse(folder, attempt, stop, trial.resources.hours, _load_of_the_machine)
    pulse.start()
    try:
        run = TrialRun(folder, trial, attempt, pulse, stop)
        try:
            return run_task(folder, trial, attempt, run, stop)
        finally:
            run.close()
    finally:
        pulse.end()


def _attempt_of_many(folder: TrialFolder, trial: Trial, attempt: Attempt, stop: StopRequest, node: Node) -> Ending:
    from orchestration.distributed.supervisor import supervise  # torch: only trials of several processes need it here

    try:
        return supervise(folder, trial, attempt, stop, node, _load_of_the_machine)
    except LaunchError as error:
        return Ending(Outcome.NODE_FAIL, now_ms(), f"{error}", exit_code=ExitCode.RESUME_ME)


def _assist(folder: TrialFolder, trial: Trial, stop: StopRequest, node: Node) -> int:
    """Run this node's processes of an attempt that the first node claims; how it ended is for that one to say."""
    from orchestration.distributed.supervisor import assist

    try:
        assist(folder, trial.resources, stop, node)
    except LaunchError as error:
        print(f"{trial.name}: node {node.rank} has nothing to do: {error}", file=sys.stderr)
    return ExitCode.DONE


def _load_of_the_machine() -> Mapping[str, float]:
    from orchestration.system_metrics import sample  # psutil: only trials that take longer than a moment need it

    return sample()


def _require_no_wish(folder: TrialFolder, trial: Trial) -> None:
    wish = folder.wish()
    if wish is not None:
        raise StoppedForGoodError(f"{trial.name}: {wish.told}; `oneshot run` or `oneshot retry` lets it run again")


def _require_inputs(folder: TrialFolder, trial: Trial) -> None:
    for name, signature in trial.needs.items():
        if not TrialFolder(folder.path.parent / signature).is_done():
            raise LaunchError(
                f"{trial.name}: its need {name!r} ({signature[:SHOWN_DIGITS]}) is not done; run that trial first"
            )


if __name__ == "__main__":
    sys.exit(main())
