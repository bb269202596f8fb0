"""What every worker runs, wherever it runs: ``python -m orchestration.trial <trial folder>``.

It claims the trial, always resumes what is there, and exits with 0 when the trial is done or somebody else is at it,
75 when it was stopped and can be resumed, 2 for a configuration that cannot work, and another code for a failure.

Where several processes compute the trial, this one only supervises them (:mod:`orchestration.distributed.supervisor`).
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from orchestration.attempt import Attempt, Held, now_ms
from orchestration.distributed.node import Node, this_node
from orchestration.ending import Ending, Outcome
from orchestration.errors import ExitCode, JournalError, LaunchError, OrchestrationError, StoppedForGoodError
from orchestration.journal import TrialFolder
from orchestration.provenance import write_provenance
from orchestration.signature import SHOWN_DIGITS
from orchestration.stop import Pulse, StopReason, StopRequest
from orchestration.task import config_of, load_task
from orchestration.trial_description import Trial
from orchestration.trial_run import InterruptedTrial, TrialRun


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


def run_task(folder: TrialFolder, trial: Trial, attempt: Attempt, run: TrialRun, stop: StopRequest) -> Ending:
    """Run the task of a claimed trial in this process; return how it ended."""
    try:
        request = folder.request()
        sys.path.extend(path for path in (request.import_paths if request else ()) if path not in sys.path)
        task = load_task(trial.task)
        if run.rank == 0:
            write_provenance(attempt.folder, _code_folder(trial))
        run.event("started", host=attempt.host, pid=attempt.pid)
        final = {str(name): float(value) for name, value in task(config_of(task, trial.config), run).items()}
        if final:
            run.log(final, run.step)
        run.close()
        if run.rank == 0:
            folder.finish(final, attempt.number)
        return Ending(Outcome.OK, now_ms(), exit_code=ExitCode.DONE)
    except InterruptedTrial:
        return _interruption(folder, run, stop)
    except BaseException as error:
        return _failure(error)


def _interruption(folder: TrialFolder, run: TrialRun, stop: StopRequest) -> Ending:
    """Return the ending of a task that was asked to stop; a wish counts even when a signal arrived before it."""
    wish = folder.wish()
    if wish is not None:
        run.event("stopped", reason=wish.outcome.value, detail=wish.why, step=run.step)
        message = f"{wish.outcome} at step {run.step}: {wish.why}"
        return Ending(wish.outcome, now_ms(), message, exit_code=ExitCode.INTERRUPTED)
    reason = stop.reason or "the task stopped by itself"
    run.event("stopped", reason=str(reason), detail=stop.detail, step=run.step)
    outcome = Outcome.TIMEOUT if stop.reason is StopReason.TIME_LIMIT else Outcome.PREEMPTED
    return Ending(outcome, now_ms(), f"stopped: {reason} {stop.detail}".strip(), exit_code=ExitCode.RESUME_ME)


def _failure(error: BaseException) -> Ending:
    """Return the ending for an error, and print it: a user's mistake without its traceback."""
    exit_code = getattr(error, "exit_code", None)
    if isinstance(exit_code, int):
        message = f"{error}"
        print(f"error: {message}", file=sys.stderr)
        digest = sha256(message.encode()).hexdigest()[:16]
        can_retry = exit_code not in (ExitCode.WRONG_INPUT, ExitCode.FOLDER)
        return Ending(Outcome.FAILED, now_ms(), message, digest, exit_code or ExitCode.FAILED, can_retry)
    text = "".join(traceback.format_exception(error))
    print(text, file=sys.stderr, flush=True)
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return Ending(
        Outcome.OOM if out_of_memory else Outcome.FAILED,
        now_ms(),
        f"{type(error).__name__}: {error}",
        sha256(text.encode()).hexdigest()[:16],
        ExitCode.FAILED,
    )


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


def redirect_output(attempt: Attempt, rank: int = 0) -> int:
    """Send stdout and stderr, of child processes too, to the attempt's logs; return the old stderr.

    Args:
        attempt: whose logs.
        rank: of this process among those of the trial; all but the first have logs of their own.
    """
    terminal = os.dup(2)
    for stream, path in ((sys.stdout, attempt.stdout), (sys.stderr, attempt.stderr)):
        path = path.with_name(f"{path.stem}.rank{rank}.log") if rank else path
        stream.flush()
        with path.open("ab") as log:
            os.dup2(log.fileno(), stream.fileno())
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return terminal


def _code_folder(trial: Trial) -> Path:
    file = getattr(sys.modules[trial.task.partition(":")[0]], "__file__", None)
    return Path(file).parent if file else Path.cwd()


if __name__ == "__main__":
    sys.exit(main())
