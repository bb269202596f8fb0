"""The ``oneshot`` command. Every command is a thin front of a function elsewhere; heavy libraries load only on use."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from orchestration.durable import to_json
from orchestration.errors import EXIT_CODES_HELP, DescriptionError, ExitCode
from orchestration.experiment_file import ExperimentFile
from orchestration.plan import Plan
from orchestration.plan import plan as plan_descriptions
from orchestration.runs import Runs

app = typer.Typer(
    help="Describe experiments once, run them anywhere, read the tables back.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

TAKES_FILE_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Context settings of a command whose FILE may add options of its own."""

FileArgument = Annotated[Path | None, typer.Argument(metavar="FILE", help="a Python file of experiments")]
RunsOption = Annotated[Path, typer.Option("--runs", envvar="ONESHOT_RUNS", help="the folder of all trial folders")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs, and nothing else, to stdout")]
OnlyOption = Annotated[list[str] | None, typer.Option("--only", help="this experiment of the file; may be repeated")]
HelpOption = Annotated[bool, typer.Option("--help", help="show this message, with the options of FILE, and exit")]

RUNS = Path("runs")


class LauncherName(StrEnum):
    """Where trials run."""

    LOCAL = "local"
    RAY = "ray"


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
    launcher: Annotated[LauncherName, typer.Option(help="where the trials run")] = LauncherName.LOCAL,
    runs: RunsOption = RUNS,
    only: OnlyOption = None,
    slots: Annotated[int | None, typer.Option(help="trials at a time [default: as many as fit]")] = None,
    cpus: Annotated[float | None, typer.Option(help="cores to use [default: all]")] = None,
    gpus: Annotated[int | None, typer.Option(help="graphics cards to use [default: all]")] = None,
    address: Annotated[str | None, typer.Option(help="ray: join this cluster instead of starting one")] = None,
    as_json: JsonOption = False,
    show_help: HelpOption = False,
) -> None:
    """Run every trial of FILE that is not done; running again continues and repeats nothing."""
    from orchestration.launch.choice import make_launcher
    from orchestration.launch.driver import launch
    from orchestration.listing import plan_records

    described, planned = read_plan(context, file, only, show_help)
    chosen = make_launcher(launcher, cpus=cpus, gpus=gpus, slots=slots, address=address)
    summary = launch(planned, Runs(runs), chosen, Console(file=sys.stderr), described.import_paths)
    if as_json:
        print(to_json(plan_records(planned, summary.states), indent=1))
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
    trial: Annotated[str, typer.Argument(help="<experiment>/<name>, a name, a signature's first digits, or a path")],
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


def read_plan(
    context: typer.Context, file: Path | None, only: list[str] | None, show_help: bool
) -> tuple[ExperimentFile, Plan]:
    """Return the file and its plan for the options that the command itself does not know; or show the help.

    Every command that takes FILE calls this, so that all of them understand the file's own options.
    """
    if show_help:
        typer.echo(context.get_help())
        if file is not None:
            typer.echo(ExperimentFile(file).options_help())
        raise typer.Exit
    if file is None:
        raise DescriptionError("FILE is missing: give the path of a file of experiments, before its own options")
    if str(file).startswith("-"):
        raise DescriptionError(f"no such option: {file}; options of FILE come after FILE")
    described = ExperimentFile(file)
    own = {name for parameter in context.command.params for name in parameter.opts}
    clash = sorted(own & set(described.option_names))
    if clash:
        raise DescriptionError(
            f"{file}: describe() takes {clash[0]}, which `oneshot {context.info_name}` has already; rename it"
        )
    return described, plan_descriptions(described.descriptions(context.args), only or ())


def main() -> None:
    """Run the command line; every error a user can act on is one message and an exit code."""
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        code = _exit_code(error)
    sys.exit(code if isinstance(code, int) else ExitCode.DONE)


def _exit_code(error: Exception) -> int:
    """Print the error and return its code, or raise it when it is not one a user can act on."""
    if hasattr(error, "format_message"):  # the command line itself was wrong
        message = error.format_message()
        if type(error).__name__ == "NoArgsIsHelpError":
            print(message)
            return ExitCode.WRONG_INPUT
        print(f"error: {message}", file=sys.stderr)
        return ExitCode.WRONG_INPUT
    code = getattr(error, "exit_code", None)
    if isinstance(error, typer.Abort):
        return ExitCode.INTERRUPTED
    if not isinstance(code, int):
        raise error
    print(f"error: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
