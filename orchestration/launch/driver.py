"""From a plan to results: prepare the folders, launch what is not done, follow it, and say how it went."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from rich.console import Console

from orchestration.drivers import recorded
from orchestration.durable import make_folder
from orchestration.errors import ExitCode
from orchestration.journal import TrialFolder
from orchestration.journal_records import State
from orchestration.launch import Halt, JobLauncher, Launcher
from orchestration.launch.progress import Progress
from orchestration.launch.sweeps.in_turn import require_follower, run_sweeps
from orchestration.missing_inputs import require_inputs
from orchestration.plan import Plan
from orchestration.runs import Runs
from orchestration.status import counts
from orchestration.trial_description import Trial

CREATORS = 8
"""Folders made at a time: each waits for the disk twice, and a disk writes many of them as fast as one."""
STOPPING = "stopping: the workers save their state (once more: stop them at once)"
LEAVING = "leaving: the jobs stay in the queue"
CONTINUE = "interrupted; the same command continues where this one stopped"
GOING_ON = "the jobs go on without this command: `oneshot status` shows them, `oneshot cancel` ends them"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Summary:
    """How a launch ended.

    Args:
        plan: what was run, with the points that sweeps have chosen.
        states: signature -> state of every planned trial.
        reasons: signature -> why a trial was given up.
        interrupted: whether somebody asked to stop.
    """

    plan: Plan
    states: Mapping[str, State]
    reasons: Mapping[str, str]
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """0 only when everything that was asked for is done; what a sweep has pruned is done with."""
        followed = self.plan.followed
        open_ = [s for s in self.plan.requested if self.states[s] is not State.DONE]
        if not self.plan.open_points and all(s in followed and self.states[s] is State.PRUNED for s in open_):
            return ExitCode.DONE
        return ExitCode.INTERRUPTED if self.interrupted else ExitCode.FAILED


def launch(
    plan: Plan,
    runs: Runs,
    launcher: Launcher,
    console: Console,
    import_paths: Sequence[str] | None = (),
    on_tick: Callable[[], object] | None = None,
) -> Summary:
    """Run what is not done of a plan, and return how it went.

    Args:
        plan: what to run.
        runs: where.
        launcher: how.
        console: for progress and the summary.
        import_paths: where tasks are imported from, behind what Python looks at anyway; None: from where each trial's
            task was imported in its last launch.
        on_tick: called every few seconds while trials run, and once at the end.
    """
    trials = _prepare(plan, runs, launcher, import_paths)
    halt = Halt()
    reasons: dict[str, str] = {}
    with recorded(runs.root), _stop_signals(halt, console, launcher):
        if trials:
            try:
                with Progress(runs, trials, console, on_tick):
                    reasons = launcher.run(trials, runs, halt)
            finally:
                if not launcher.outlives_driver:
                    for trial in unfinished(plan, runs):
                        runs.withdraw(trial)
        if plan.sweeps and not halt.asked:
            plan, told = run_sweeps(plan, runs, launcher, halt, console, import_paths, on_tick)
            reasons |= told
    if on_tick is not None:
        on_tick()
    summary = Summary(plan, runs.states(plan.trials), reasons, halt.asked)
    _print_summary(summary, plan, runs, console)
    if summary.exit_code == ExitCode.INTERRUPTED:
        console.print(GOING_ON if launcher.outlives_driver else CONTINUE, highlight=False)
    return summary


def submit(
    plan: Plan, runs: Runs, launcher: JobLauncher, console: Console, import_paths: Sequence[str] | None = ()
) -> Summary:
    """Submit what is not done of a plan as jobs that go on by themselves, and leave them alone.

    The arguments are those of :func:`launch`.
    """
    trials = _prepare(plan, runs, launcher, import_paths)
    jobs = launcher.submit(trials, runs) if trials else {}
    states = runs.states(plan.trials)
    console.print(f"{counts(states.values())}; folder {runs.root}", highlight=False, markup=False, soft_wrap=True)
    if jobs:
        console.print(f"{len(jobs)} jobs; {GOING_ON}", highlight=False, markup=False, soft_wrap=True)
    return Summary(plan, states, {}, interrupted=False)


def _prepare(plan: Plan, runs: Runs, launcher: Launcher, import_paths: Sequence[str] | None) -> list[Trial]:
    """Create and name the folders of a plan and ask for what is not done; return that."""
    trials = require_launchable(plan, runs, launcher)
    make_folder(runs.root)
    with ThreadPoolExecutor(CREATORS) as pool:
        for _ in pool.map(runs.create, trials):
            pass
    for trial in trials:
        runs.ask(trial, import_paths)
    for entry in plan.entries:
        if runs.folder(entry.signature).exists():
            runs.link(entry)
    return trials


def require_launchable(plan: Plan, runs: Runs, launcher: Launcher) -> list[Trial]:
    """Return :func:`ready_to_launch`, having made sure that the launcher can run them and the trials of sweeps.

    Commands ask before they create anything; a launch asks for itself.

    Raises:
        DescriptionError: an input is missing, or a sweep needs a launcher that follows it.
        ResourcesError: a trial asks for what will never be there.
    """
    require_follower(plan, launcher)
    trials = ready_to_launch(plan, runs)
    launcher.check(trials)
    return trials


def ready_to_launch(plan: Plan, runs: Runs) -> list[Trial]:
    """Return :func:`unfinished`, having made sure that this machine has what they and the trials of sweeps read.

    Raises:
        DescriptionError: a data set or a weights file is missing.
    """
    wanted = _unfinished_signatures(plan, runs)
    require_inputs(trial for trial in plan.trials if trial.signature in wanted)
    return unfinished(plan, runs)


def unfinished(plan: Plan, runs: Runs) -> list[Trial]:
    """Return the requested trials that are not done and, recursively, what they need and is not done, in order.

    Trials of sweeps are not among them: a sweep starts its trials itself, but what they need is.
    """
    wanted = _unfinished_signatures(plan, runs) - plan.followed
    return [trial for trial in plan.trials if trial.signature in wanted]


def _unfinished_signatures(plan: Plan, runs: Runs) -> set[str]:
    wanted = {signature for signature in plan.requested if not runs.folder(signature).is_done()}
    for trial in reversed(plan.trials):
        if trial.signature in wanted:
            wanted |= {need for need in trial.needs.values() if not runs.folder(need).is_done()}
    return wanted


@contextmanager
def _stop_signals(halt: Halt, console: Console, launcher: Launcher) -> Iterator[None]:
    """Let the signals that end a program ask for a halt instead; a second one does not wait for the workers."""
    told = LEAVING if launcher.outlives_driver else STOPPING

    def on_signal(number: int, frame: FrameType | None) -> None:
        if not halt.asked:
            console.print(told, highlight=False)
        halt.ask()

    before: dict[signal.Signals, Any] = {number: signal.signal(number, on_signal) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_summary(summary: Summary, plan: Plan, runs: Runs, console: Console) -> None:
    for trial in plan.trials:
        state = summary.states[trial.signature]
        if state is State.FAILED or trial.signature in summary.reasons:
            reason = summary.reasons.get(trial.signature) or _last_message(runs.folder(trial.signature))
            told = reason if reason.startswith(state) else f"{state}: {reason}"
            console.print(
                f"{trial.experiment}/{trial.name}: {told}",
                style="red",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
            last = runs.folder(trial.signature).last_attempt()
            if last is not None:
                console.print(f"    log: {last.stderr}", highlight=False, markup=False, soft_wrap=True)
    line = counts(summary.states.values())
    console.print(f"{line}; folder {runs.root}", highlight=False, markup=False, soft_wrap=True)


def _last_message(folder: TrialFolder) -> str:
    last = folder.last_attempt()
    return last.ending.message if last and last.ending else ""
