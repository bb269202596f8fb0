"""An experiment file run as a program, with the flags of OS2D's published launchers.

A file ends in::

    if __name__ == "__main__":
        main(__file__)

and ``python experiments/quickstart.py`` runs its jobs here, one after another. The flags change where and how, never
what: ``oneshot run`` on the same file finds the same trials. Options of the file's ``describe`` are flags, too.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from orchestration.errors import DescriptionError, ExitCode, ResourcesError

if TYPE_CHECKING:
    import argparse

    from orchestration.experiment_file import ExperimentFile
    from orchestration.plan import Plan
    from orchestration.runs import Runs
    from orchestration.script.jobs import Job


@dataclass(frozen=True)
class Order:
    """What the command line asks for: a file, everything it describes, the part of it that is chosen, and the flags."""

    described: ExperimentFile
    whole: Plan
    chosen: Plan
    runs: Runs
    flags: argparse.Namespace


def main(file: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the experiment file as the command line says, and exit with the code that ``oneshot run`` has."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = run_script(Path(file), given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:  # who read the output has gone, as `head` does; Python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.FAILED
    except Exception as error:
        exit_code = getattr(error, "exit_code", None)
        if not isinstance(exit_code, int):
            raise
        print(f"error: {error}", file=sys.stderr)
        code = exit_code
    sys.exit(code)


def run_script(file: Path, arguments: Sequence[str]) -> int:
    """Do what the arguments say with a file; return the exit code."""
    from orchestration.experiment_file import ExperimentFile
    from orchestration.launch.sweeps.in_turn import without_pruning
    from orchestration.plan import plan
    from orchestration.runs import Runs
    from orchestration.script.flags import parser_of, with_flags, without_meaning
    from orchestration.script.jobs import choose_jobs, jobs_of, restricted
    from orchestration.sweep.record import chosen_points

    parser = parser_of(file.name)
    flags, rest = parser.parse_known_args(arguments)
    described = ExperimentFile(file)
    clash = sorted(set(parser._option_string_actions) & set(described.option_names))
    if clash:
        raise DescriptionError(f"{file}: describe() takes {clash[0]}, which every script has already; rename it")
    if flags.help:
        print(parser.format_help() + ("\n" + described.options_help() if described.option_names else ""))
        return ExitCode.DONE
    for flag in without_meaning(flags):
        print(f"warning: {flag} has no meaning without --slurm", file=sys.stderr)
    descriptions = described.descriptions(rest)
    whole = plan(descriptions, (), chosen_points(descriptions, flags.runs))
    whole = without_pruning(whole) if flags.no_pruning else whole
    jobs = choose_jobs(jobs_of(whole), flags.job_names, flags.job_indices)
    order = Order(described, whole, with_flags(restricted(whole, jobs), flags), Runs(flags.runs), flags)
    if flags.list:
        return _list(order, jobs)
    if flags.no_launch:
        return _write(order)
    if flags.conda_env and flags.launcher != "slurm":
        _run_again_in(flags.conda_env, file, arguments)
    return _launch(order)


def _list(order: Order, jobs: Sequence[Job]) -> int:
    states = order.runs.states(order.chosen.trials)
    width = len(str(max((job.index for job in jobs), default=0)))
    for job in jobs:
        print(f"{job.index:{width}}  {job.name}  {states[job.entry.signature]}")
    return ExitCode.DONE


def _write(order: Order) -> int:
    """Write the scripts of the jobs and of what they need, and say how they are started."""
    from orchestration.launch.driver import ready_to_launch
    from orchestration.script.files import LogNames, write_scripts
    from orchestration.script.flags import slurm_options

    runs, flags = order.runs, order.flags
    logs = LogNames(flags.stdout_file, flags.stderr_file)
    trials = ready_to_launch(order.chosen, runs)
    for trial in trials:
        runs.create(trial)
        runs.ask(trial, order.described.import_paths)
        runs.withdraw(trial)  # nobody looks after it until a script is started
    to_do = {trial.signature for trial in trials}
    entries = tuple(entry for entry in order.chosen.entries if entry.signature in to_do)
    for entry in entries:
        runs.link(entry)
    if not entries:
        print("everything is done; there is nothing to launch")
    plan = replace(order.chosen, trials=tuple(trials), entries=entries)
    for written in write_scripts(plan, runs, logs, slurm_options(flags)):
        for job in written.jobs:
            print(f"{job.name}: {job.folder}")
        refused = [job.why_not_slurm for job in written.jobs if job.why_not_slurm]
        if refused and flags.launcher == "slurm":
            raise ResourcesError(refused[0])
        script = written.submit if flags.launcher == "slurm" else written.launch
        print(f"launch them with: {shlex.join(['bash', str(script)])}")
    return ExitCode.DONE


def _launch(order: Order) -> int:
    """Run the jobs and show what came out, or submit them and return."""
    from rich.console import Console

    from orchestration.launch.choice import make_launcher
    from orchestration.launch.driver import launch, require_launchable, submit
    from orchestration.launch.slurm.launcher import SlurmLauncher
    from orchestration.results import following, show_results
    from orchestration.screen import results_console
    from orchestration.script.files import LogNames, link_logs
    from orchestration.script.flags import slurm_options

    runs, flags, notes = order.runs, order.flags, Console(file=sys.stderr)
    logs = LogNames(flags.stdout_file, flags.stderr_file)
    slots = flags.slots or (1 if flags.launcher == "local" else None)
    launcher = (
        SlurmLauncher(slurm_options(flags)) if flags.launcher == "slurm" else make_launcher(flags.launcher, slots=slots)
    )
    require_launchable(order.chosen, runs, launcher)
    for entry in order.chosen.entries:
        link_logs(runs, entry, logs)
    import_paths = order.described.import_paths
    if isinstance(launcher, SlurmLauncher):
        submit(order.chosen, runs, launcher, notes, import_paths)
        return ExitCode.DONE
    tracking_uri = os.environ.get("MLFLOW_TRACKING_URI")
    with following(order.chosen, runs.root, tracking_uri, notes) as tick:
        summary = launch(order.chosen, runs, launcher, notes, import_paths, tick)
    if not summary.interrupted:
        shown = summary.plan if order.chosen.sweeps else shown_plan(order.whole, order.chosen)
        show_results(shown, order.described.path, runs.root, tracking_uri, results_console(), notes)
    return summary.exit_code


def shown_plan(whole: Plan, chosen: Plan) -> Plan:
    """Return the plan that results are shown of: the experiments that were chosen from, their tables, all in these."""
    experiments = {entry.experiment for entry in chosen.entries if entry.requested}
    tables = tuple(table for table in whole.tables if experiments & set(table.experiment_names))
    experiments = experiments.union(*(table.experiment_names for table in tables))
    return replace(
        whole,
        entries=tuple(
            replace(entry, requested=entry.requested and entry.experiment in experiments) for entry in whole.entries
        ),
        tables=tables,
    )


def _run_again_in(environment: str, file: Path, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by the same script in a conda environment."""
    conda = shutil.which("conda") or os.environ.get("CONDA_EXE")
    if conda is None:
        raise DescriptionError(f"--conda-env {environment}: there is no conda on the PATH; install it, or leave it out")
    where = "--prefix" if "/" in environment else "--name"
    rest = list(arguments)
    for i, argument in enumerate(rest):
        if argument.partition("=")[0] == "--conda-env":
            del rest[i : i + (1 if "=" in argument else 2)]
            break
    command = [conda, "run", "--no-capture-output", where, environment, "python", str(file), *rest]
    sys.stdout.flush()
    os.execv(conda, command)
