"""``oneshot models``: what the detector library does with weights files, and publishing what a run learnt."""

from __future__ import annotations

from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.options import RUNS, RunsOption

LIBRARY = "os2d.cli.models"

app = typer.Typer(help="Fetch, convert, inspect and publish weights files.", no_args_is_help=True)
app.registered_commands += import_module(LIBRARY).app.registered_commands


@app.command("publish")
def publish(
    run: Annotated[str, typer.Argument(help="a finished trial (folder, name or signature), or a training's folder")],
    folder: Annotated[Path, typer.Argument(help="to write; it must be empty or not there")],
    checkpoint: Annotated[
        str | None, typer.Option(metavar="NAME", help="of the run (default: the final one, else the best one)")
    ] = None,
    runs: RunsOption = RUNS,
) -> None:
    """Write checkpoint, configuration, metrics, log and a model card of a finished run into one folder.

    The checkpoint is copied as it is. The folder appears complete or not at all.
    """
    from orchestration.publication.finished_run import find_finished_run
    from orchestration.publication.publish import publish as write

    for path in write(find_finished_run(run, runs, checkpoint), folder, date.today()):
        print(path)
