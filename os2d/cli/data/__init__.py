"""``oneshot data``: one module per command."""

from __future__ import annotations

import typer

from os2d.cli.data.fetch import fetch
from os2d.cli.fetching import EXIT_CODES_HELP

app = typer.Typer(help="Fetch, check and measure the named data sets.", no_args_is_help=True)

app.command("fetch", epilog=EXIT_CODES_HELP)(fetch)
app.callback()(lambda: None)  # a group, also while it has a single command
