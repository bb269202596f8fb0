"""What the commands share: the application, options, and reading the FILE of experiments."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestration.errors import EXIT_CODES_HELP, DescriptionError
from orchestration.experiment_file import ExperimentFile
from orchestration.plan import Plan
from orchestration.plan import plan as plan_descriptions
from orchestration.sweep.record import chosen_points

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
TrackingOption = Annotated[
    str | None,
    typer.Option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="MLflow store (default: mlflow.db in --runs)"),
]
OnlyOption = Annotated[list[str] | None, typer.Option("--only", help="this experiment of the file; may be repeated")]
DetachOption = Annotated[bool, typer.Option("--detach", help="return at once; the launch goes on by itself")]
HelpOption = Annotated[bool, typer.Option("--help", help="show this message, with the options of FILE, and exit")]

RUNS = Path("runs")


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
    descriptions = described.descriptions(context.args)
    chosen = chosen_points(descriptions, context.params.get("runs", RUNS))
    return described, plan_descriptions(descriptions, only or (), chosen)


def run_detached(runs: Path, as_json: bool) -> None:
    """Start the command line of this process again without ``--detach``, in a session of its own; say where it is."""
    from orchestration.durable import to_json
    from orchestration.launch.detach import detach

    started = detach([word for word in sys.argv[1:] if word != "--detach"], runs)
    if as_json:
        typer.echo(to_json({"pid": started.pid, "log": str(started.log)}, indent=1))
        return
    typer.echo(f"launched by process {started.pid}, which goes on without this terminal")
    where = "" if runs.absolute() == RUNS.absolute() else f" --runs {shlex.quote(str(runs))}"
    typer.echo(f"  follow:  oneshot status --watch{where}, or: tail -f {shlex.quote(str(started.log))}")
    typer.echo(f"  stop:    kill {started.pid}, and the same command continues; or: oneshot cancel --all{where}")
