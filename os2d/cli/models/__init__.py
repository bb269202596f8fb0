"""``oneshot models``: one module per command."""

from __future__ import annotations

import typer

from os2d.cli.fetching import EXIT_CODES_HELP
from os2d.cli.models.convert import convert
from os2d.cli.models.fetch import fetch
from os2d.cli.models.inspect import inspect

app = typer.Typer(help="Fetch, convert and inspect weights files.", no_args_is_help=True)

app.command("fetch", epilog=EXIT_CODES_HELP)(fetch)
app.command("convert")(convert)
app.command("inspect")(inspect)
app.callback()(lambda: None)  # a group, also while it has a single command
