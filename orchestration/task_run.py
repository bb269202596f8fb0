"""A task run in this process, as its trial asks for it, with its output in the attempt's logs; and how it ended."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import traceback
from hashlib import sha256
from pathlib import Path

from orchestration.attempt import Attempt, now_ms
from orchestration.ending import Ending, Outcome
from orchestration.errors import ExitCode
from orchestration.journal import TrialFolder
from orchestration.provenance import write_provenance
from orchestration.stop import StopReason, StopRequest
from orchestration.task import config_of, load_task
from orchestration.trial_description import Trial
from orchestration.trial_run import InterruptedTrial, TrialRun


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
