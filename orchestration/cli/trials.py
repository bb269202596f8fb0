"""Commands that plan, run, watch and compare trials: ``plan``, ``run``, ``status``, ``logs`` and ``diff``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from orchestration.cli.completion import complete_trials
from orchestration.cli.in_slurm import (
    Allocation,
    InSlurmOption,
    MemoryOption,
    NodesOption,
    command_in_job,
    run_in_slurm,
)
from orchestration.cli.options import (
    RUNS,
    TAKES_FILE_OPTIONS,
    DetachOption,
    FileArgument,
    HelpOption,
    JsonOption,
    OnlyOption,
    RunsOption,
    TrackingOption,
    app,
    read_plan,
    run_detached,
)
from orchestration.cli.slurm import takes_slurm_options
from orchestration.durable import to_json
from orchestration.errors import DescriptionError
from orchestration.launch.choice import LauncherName, make_launcher
from orchestration.launch.slurm.options import SlurmOptions
from orchestration.runs import Runs
from orchestration.screen import results_console

PATTERN_HELP = "<experiment>/<name> or a name, both with * and ?, a signature's first digits, or a path"
TrialArgument = Annotated[
    str,
    typer.Argument(
        help="<experiment>/<name>, a name, a signature's first digits, or a path", autocompletion=complete_trials
    ),
]


@app.command(context_settings=TAKES_FILE_OPTIONS, add_help_option=False)
def plan(
    context: typer.Context,
    file: FileArgument = None,
    runs: RunsOption = RUNS,
    only: OnlyOption = None,
    as_json: JsonOption = False,
    show_help: HelpOption = False,
) -> None:
    """Show the trials of FILE and where they stand, without starting anything."""
    from orchestration.listing import plan_records, print_plan, records_json

    _, planned = read_plan(context, file, only, show_help)
    states = Runs(runs).states(planned.trials)
    if as_json:
        print(records_json(plan_records(planned, states)))
    else:
        print_plan(planned, states, results_console())


@app.command(context_settings=TAKES_FILE_OPTIONS, add_help_option=False)
@takes_slurm_options
def run(
    context: typer.Context,
    file: FileArgument = None,
    launcher: Annotated[LauncherName, typer.Option(help="where the trials run")] = LauncherName.RAY,
    runs: RunsOption = RUNS,
    only: OnlyOption = None,
    slots: Annotated[int | None, typer.Option(help="trials at a time (default: as many as fit)")] = None,
    cpus: Annotated[float | None, typer.Option(help="cores to use, all unless said; slurm: of each trial")] = None,
    gpus: Annotated[int | None, typer.Option(help="cards to use, all unless said; slurm: of each trial")] = None,
    address: Annotated[str | None, typer.Option(help="ray: join this cluster instead of starting one")] = None,
    in_slurm: InSlurmOption = False,
    nodes: NodesOption = 1,
    memory_gb: MemoryOption = None,
    slurm: SlurmOptions = SlurmOptions(),  # noqa: B008 - its own options stand here
    no_pruning: Annotated[
        bool, typer.Option("--no-pruning", help="run the trials of sweeps to their end, whatever the scheduler")
    ] = False,
    detach: DetachOption = False,
    tracking_uri: TrackingOption = None,
    as_json: JsonOption = False,
    show_help: HelpOption = False,
) -> None:
    """Run every trial of FILE that is not done; running again continues and repeats nothing."""
    from orchestration.launch import JobLauncher
    from orchestration.launch.driver import launch, ready_to_launch, require_launchable, submit
    from orchestration.launch.sweeps.in_turn import without_pruning
    from orchestration.listing import plan_records
    from orchestration.results import following, show_results

    described, planned = read_plan(context, file, only, show_help)
    planned = without_pruning(planned) if no_pruning else planned
    if in_slurm:
        if launcher is not LauncherName.RAY:
            raise DescriptionError(f"--in-slurm: launches with Ray, not with --launcher {launcher}; leave one out")
        options = {"slots": slots, "tracking_uri": tracking_uri, "no_pruning": no_pruning}
        command = command_in_job(file, context.args, runs, only, **options)
        trials, allocation = ready_to_launch(planned, Runs(runs)), Allocation(nodes, cpus, gpus, memory_gb)
        raise typer.Exit(run_in_slurm(command, trials, runs, allocation, slurm, is_attached=not detach))
    chosen = make_launcher(launcher, cpus=cpus, gpus=gpus, slots=slots, address=address, slurm=slurm)
    journal = Runs(runs)
    trials = require_launchable(planned, journal, chosen)
    notes = Console(file=sys.stderr)
    if detach and isinstance(chosen, JobLauncher):
        summary = submit(planned, journal, chosen, notes, described.import_paths)
        if as_json:
            print(to_json(plan_records(planned, summary.states), indent=1))
        return
    if detach and (trials or planned.sweeps):
        run_detached(runs, as_json)
        return
    with following(planned, runs, tracking_uri, notes) as tick:
        summary = launch(planned, journal, chosen, notes, described.import_paths, tick)
    planned = summary.plan
    if as_json:
        print(to_json(plan_records(planned, summary.states), indent=1))
    elif not summary.interrupted:
        show_results(planned, described.path, runs, tracking_uri, results_console(), notes)
    raise typer.Exit(summary.exit_code)


@app.command(context_settings=TAKES_FILE_OPTIONS, add_help_option=False)
def status(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE | PATTERN ...]",
            help="a Python file of experiments, or patterns",
            autocompletion=complete_trials,
        ),
    ] = None,
    match: Annotated[
        list[str] | None, typer.Option("--match", metavar="PATTERN", help=PATTERN_HELP, autocompletion=complete_trials)
    ] = None,
    states: Annotated[
        str, typer.Option("--state", metavar="A,B,...", help="only trials in these states, such as failed,running")
    ] = "",
    metric: Annotated[str | None, typer.Option(help="the metric to show (default: the one logged last)")] = None,
    follow: Annotated[
        bool, typer.Option("--watch", "-w", help="go on until nothing runs any more, or q is pressed")
    ] = False,
    runs: RunsOption = RUNS,
    only: OnlyOption = None,
    as_json: JsonOption = False,
    show_help: HelpOption = False,
) -> None:
    """Show where the trials of FILE, or those that a PATTERN means, stand; without either those of every launch."""
    from orchestration.drivers import live_drivers
    from orchestration.selection import choose
    from orchestration.status import board_of_names, board_of_plan, states_called

    journal, shown_states = Runs(runs), states_called(states)
    if follow and as_json:
        raise DescriptionError("--watch: not with --json, which prints one answer; leave one of them out")
    if show_help or (file is not None and (file.suffix == ".py" or file.is_file() or str(file).startswith("-"))):
        board = board_of_plan(read_plan(context, file, only, show_help)[1], journal, match or ())
    else:
        patterns = [*([] if file is None else [str(file)]), *context.args, *(match or ())]
        if wrong := [pattern for pattern in patterns if pattern.startswith("-")] + ["--only"] * bool(only):
            raise DescriptionError(f"no such option: {' '.join(wrong)} (options of FILE need a FILE)")
        board = board_of_names(journal, choose(journal, patterns) if patterns else None)
    board.look()
    if as_json:
        print(to_json([line.as_dict() for line in board.lines(shown_states, metric)], indent=1))
        return
    from orchestration.watch import Shown, print_status, watch

    shown = Shown(shown_states, metric)
    if not board.named:
        print(f"nothing was launched into {journal.root}" if file is None else "no trial is meant")
    elif follow:
        watch(board, shown, results_console())
    else:
        print_status(board, shown, results_console())
        for driver in live_drivers(journal.root):
            print(f"launched by {driver}")


@app.command()
def logs(
    patterns: Annotated[
        list[str], typer.Argument(metavar="PATTERN ...", help=PATTERN_HELP, autocompletion=complete_trials)
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until the trials have ended")] = False,
    stderr: Annotated[bool, typer.Option("--stderr", help="only what went to stderr")] = False,
    lines: Annotated[int | None, typer.Option("--lines", "-n", min=0, help="only the last ones (default: all)")] = None,
    attempt: Annotated[int | None, typer.Option(help="its number (default: the last)")] = None,
    runs: RunsOption = RUNS,
) -> None:
    """Print what trials printed; with several trials every line begins with the trial's name."""
    from orchestration.logs import Wanted, follow_logs, print_logs
    from orchestration.selection import choose

    chosen = choose(Runs(runs), patterns)
    wanted = Wanted(attempt, stderr, lines)
    if follow:
        follow_logs(chosen, wanted, sys.stdout)
    else:
        print_logs(chosen, wanted, sys.stdout)


@app.command()
def diff(first: TrialArgument, second: TrialArgument, runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """Tell why two trials are not one: the configuration keys, data and needs in which they differ."""
    from orchestration.comparison import differences, print_differences
    from orchestration.selection import one_trial

    journal = Runs(runs)
    a, b = one_trial(journal, first).trial, one_trial(journal, second).trial
    found = differences(a, b)
    if as_json:
        print(to_json([difference.as_dict() for difference in found], indent=1))
    else:
        print_differences(a, b, found, results_console())
