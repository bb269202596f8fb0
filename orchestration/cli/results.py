"""Commands that read results: ``table``, ``report``, ``sync``, ``dashboard`` and ``doctor``."""

from __future__ import annotations

import io
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.markup import escape

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
from orchestration.durable import write_whole
from orchestration.errors import DescriptionError, ExitCode
from orchestration.screen import results_console

if TYPE_CHECKING:
    from orchestration.tables.formats import Format


class SourceName(StrEnum):
    """Where a table reads."""

    MLFLOW = "mlflow"
    RUNS = "runs"


class FormatName(StrEnum):
    """How a table is written."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    HTML = "html"


@app.command(context_settings=TAKES_FILE_OPTIONS, add_help_option=False)
def table(
    context: typer.Context,
    file: FileArgument = None,
    runs: RunsOption = RUNS,
    only: OnlyOption = None,
    source: Annotated[
        SourceName, typer.Option("--from", help="read MLflow (brought up to date first) or the trial folders")
    ] = SourceName.MLFLOW,
    form: Annotated[FormatName, typer.Option("--format", help="how to write it")] = FormatName.TERMINAL,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="write to this file instead")] = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", help="published values that you typed in, shown as yours beside ours")
    ] = None,
    reference_template: Annotated[
        bool, typer.Option("--reference-template", help="write such a file, with every cell, instead of the tables")
    ] = False,
    tracking_uri: TrackingOption = None,
    as_json: JsonOption = False,
    show_help: HelpOption = False,
) -> None:
    """Print the tables of FILE: mean and standard deviation over seeds, and why a cell is empty."""
    from orchestration.results import table_results
    from orchestration.sweep_settings import sweeps_of
    from orchestration.tables import references
    from orchestration.tables.formats import render, to_page, to_terminal

    _, planned = read_plan(context, file, only, show_help)
    if not planned.tables and not sweeps_of(planned.experiments):
        raise DescriptionError(f"{file}: describes no table and no Sweep; add a Table to the file")
    if reference_template:
        _write(output, references.reference_template(planned).rstrip())
        return
    if reference is not None:
        planned = references.with_references(planned, reference)
    results = table_results(planned, runs, tracking_uri, from_folders=source is SourceName.RUNS)
    if as_json:
        text = json.dumps([cell for result in results for cell in result.as_json()], indent=1, ensure_ascii=False)
    elif form is FormatName.TERMINAL:
        screen = io.StringIO()
        console = results_console(screen if output else None)
        for result in results:
            console.print(to_terminal(result))
        if output is None:
            return
        text = screen.getvalue().rstrip()
    elif form is FormatName.HTML:
        text = to_page(results).rstrip()
    else:
        text = "\n".join(render(result, cast("Format", form.value)) for result in results).rstrip()
    _write(output, text)


def _write(output: Path | None, text: str) -> None:
    if output is None:
        print(text)
    else:
        write_whole(output, text + "\n")


@app.command(context_settings=TAKES_FILE_OPTIONS, add_help_option=False)
def report(
    context: typer.Context,
    file: FileArgument = None,
    runs: RunsOption = RUNS,
    only: OnlyOption = None,
    tracking_uri: TrackingOption = None,
    as_json: JsonOption = False,
    show_help: HelpOption = False,
) -> None:
    """Write one HTML page about FILE: tables, curves, sweeps, pictures, cost, configurations, provenance."""
    from orchestration.report.page import report_name, write_report

    described, planned = read_plan(context, file, only, show_help)
    path = write_report(runs, planned, report_name(planned, described.path), tracking_uri)
    print(json.dumps({"report": str(path)}) if as_json else path)


@app.command()
def sync(
    runs: RunsOption = RUNS,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until interrupted")] = False,
    tracking_uri: TrackingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring MLflow up to date with the trial folders; safe to repeat, also after MLflow was away."""
    from dataclasses import asdict

    from orchestration.tracking import sync as tracking

    def tell(done: tracking.SyncReport) -> None:
        if as_json:
            print(json.dumps(asdict(done), indent=None if follow else 1), flush=True)
        else:
            counted = f"{done.trials} trials, {done.created} new runs, {done.points} new values"
            print(f"{done.tracking_uri}: {counted}", flush=True)

    if follow:
        tracking.follow(runs, tracking_uri, tell)
        return
    done = tracking.sync(runs, tracking_uri=tracking_uri)
    tell(done)
    for problem in done.problems:
        print(f"error: {problem}", file=sys.stderr)
    raise typer.Exit(ExitCode.FAILED if done.problems else ExitCode.DONE)


@app.command()
def dashboard(
    experiment: Annotated[str | None, typer.Argument(help="show this experiment")] = None,
    runs: RunsOption = RUNS,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on")] = 5000,
    open_browser: Annotated[
        bool | None, typer.Option("--open/--no-open", help="open a browser; without either, where there is a screen")
    ] = None,
    tracking_uri: TrackingOption = None,
) -> None:
    """Open MLflow's pages on the runs: starts the server and prints the address; Ctrl-C ends it."""
    from orchestration.dashboard import dashboard_command, exec_dashboard, make_store
    from orchestration.open_page import has_display, open_when_ready

    command = dashboard_command(runs, experiment, tracking_uri, host, port)
    if command.missing:
        print(f"warning: {command.missing}", file=sys.stderr)
    if command.argv:
        make_store(runs, tracking_uri)
    print(command.url, flush=True)
    if has_display() if open_browser is None else open_browser:
        open_when_ready(command.url)
    if command.argv:
        exec_dashboard(command)


@app.command()
def doctor(
    runs: RunsOption = RUNS,
    data: Annotated[
        Path | None, typer.Option("--data", envvar="ONESHOT_DATA", help="the folder of the data sets")
    ] = None,
    tracking_uri: TrackingOption = None,
    deep: Annotated[bool, typer.Option("--deep", help="also start a small Ray cluster and a SLURM job")] = False,
    probe_slurm: Annotated[bool, typer.Option("--probe-slurm", help="also run a SLURM job that reports")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell whether this machine can run experiments, and what to do where it cannot. Exit code 1 on an error."""
    from orchestration.doctor.checkup import run_doctor, worst_status

    checks = run_doctor(runs, data, tracking_uri, deep, probe_slurm)
    if as_json:
        print(json.dumps([check.as_json() for check in checks], indent=1))
    else:
        colours = {"ok": "green", "warning": "yellow", "error": "red"}
        console = results_console()
        for check in checks:
            mark = f"[{colours[check.status]}]{check.status:8}[/]"
            console.print(f"{mark}{check.name:17} {escape(check.detail)}", highlight=False, soft_wrap=True)
            if check.advice:
                console.print(f"{'':8}{'':17} -> {escape(check.advice)}", highlight=False, soft_wrap=True)
    raise typer.Exit(ExitCode.FAILED if worst_status(checks) == "error" else ExitCode.DONE)
