"""Commands that plan, run, watch and compare trials: ``plan``, ``run``, ``status``, ``logs`` and ``diff``."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from orchestration.cli.options import (
    RUNS,
    TAKES_FILE_OPTIONS,
    FileArgument,
    HelpOption,
    JsonOption,
    OnlyOption,
    RunsOption,
    TrackingOption,
    app,
    read_plan,
)
from orchestration.cli.slurm import (
    AccountOption,
    CondaOption,
    ConstraintOption,
    ExcludeOption,
    ExclusiveOption,
    HoursOption,
    NodelistOption,
    PartitionOption,
    QosOption,
    SbatchOption,
    slurm_options,
)
from orchestration.durable import to_json
from orchestration.errors import DescriptionError
from orchestration.runs import Runs

TrialArgument = Annotated[
    str, typer.Argument(help="<experiment>/<name>, a name, a signature's first digits, or a path")
]


class LauncherName(StrEnum):
    """Where trials run."""

    LOCAL = "local"
    RAY = "ray"
    SLURM = "slurm"


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
    from orchestration.listing import plan_records, print_plan

    _, planned = read_plan(context, file, only, show_help)
    states = Runs(runs).states(planned.trials)
    if as_json:
        print(to_json(plan_records(planned, states), indent=1))
    else:
        print_plan(planned, states, Console())


@app.command(context_settings=TAKES_FILE_OPTIONS, add_help_option=False)
def run(
    context: typer.Context,
    file: FileArgument = None,
    launcher: Annotated[LauncherName, typer.Option(help="where the trials run")] = LauncherName.RAY,
    runs: RunsOption = RUNS,
    only: OnlyOption = None,
    slots: Annotated[int | None, typer.Option(help="trials at a time [default: as many as fit]")] = None,
    cpus: Annotated[float | None, typer.Option(help="cores to use, all unless said; slurm: of each trial")] = None,
    gpus: Annotated[int | None, typer.Option(help="cards to use, all unless said; slurm: of each trial")] = None,
    address: Annotated[str | None, typer.Option(help="ray: join this cluster instead of starting one")] = None,
    partition: PartitionOption = None,
    account: AccountOption = None,
    qos: QosOption = None,
    constraint: ConstraintOption = None,
    exclusive: ExclusiveOption = False,
    exclude: ExcludeOption = None,
    nodelist: NodelistOption = None,
    hours: HoursOption = None,
    conda_env: CondaOption = None,
    sbatch: SbatchOption = None,
    tracking_uri: TrackingOption = None,
    as_json: JsonOption = False,
    show_help: HelpOption = False,
) -> None:
    """Run every trial of FILE that is not done; running again continues and repeats nothing."""
    from orchestration.launch.choice import make_launcher
    from orchestration.launch.driver import launch, unfinished
    from orchestration.listing import plan_records
    from orchestration.results import following, show_results

    described, planned = read_plan(context, file, only, show_help)
    slurm = slurm_options(partition, account, qos, constraint, exclusive, exclude, nodelist, hours, conda_env, sbatch)
    chosen = make_launcher(launcher, cpus=cpus, gpus=gpus, slots=slots, address=address, slurm=slurm)
    journal = Runs(runs)
    chosen.check(unfinished(planned, journal))  # before anything is created
    notes = Console(file=sys.stderr)
    with following(planned, runs, tracking_uri, notes) as tick:
        summary = launch(planned, journal, chosen, notes, described.import_paths, tick)
    if as_json:
        print(to_json(plan_records(planned, summary.states), indent=1))
    elif not summary.interrupted:
        show_results(planned, runs, tracking_uri, Console(), notes)
    raise typer.Exit(summary.exit_code)


@app.command(context_settings=TAKES_FILE_OPTIONS, add_help_option=False)
def status(
    context: typer.Context,
    file: FileArgument = None,
    runs: RunsOption = RUNS,
    only: OnlyOption = None,
    as_json: JsonOption = False,
    show_help: HelpOption = False,
) -> None:
    """Show where the trials of FILE stand, or without FILE those of every launch into the runs folder."""
    from orchestration.listing import print_status, status_of_folders, status_of_plan

    journal = Runs(runs)
    if file is None and not show_help:
        if context.args:
            raise DescriptionError(f"no such option: {' '.join(context.args)}")
        lines = status_of_folders(journal)
    else:
        lines = status_of_plan(read_plan(context, file, only, show_help)[1], journal)
    if as_json:
        print(to_json([line.as_dict() for line in lines], indent=1))
    else:
        print_status(lines, journal, Console())


@app.command()
def logs(
    trial: TrialArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until the trial has ended")] = False,
    attempt: Annotated[int | None, typer.Option(help="its number [default: the last]")] = None,
    runs: RunsOption = RUNS,
) -> None:
    """Print what a trial printed."""
    from orchestration.listing import one_trial
    from orchestration.logs import follow_logs, print_logs

    folder = one_trial(Runs(runs), trial)
    if follow:
        follow_logs(folder, sys.stdout)
    else:
        print_logs(folder, attempt, sys.stdout)


@app.command()
def diff(first: TrialArgument, second: TrialArgument, runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """Tell why two trials are not one: the configuration keys, data and needs in which they differ."""
    from orchestration.comparison import differences, print_differences
    from orchestration.listing import one_trial

    journal = Runs(runs)
    a, b = one_trial(journal, first).trial, one_trial(journal, second).trial
    found = differences(a, b)
    if as_json:
        print(to_json([difference.as_dict() for difference in found], indent=1))
    else:
        print_differences(a, b, found, Console())
