"""``oneshot data``: one module per command."""

from __future__ import annotations

import typer

app = typer.Typer(help="Fetch, check and measure the named data sets.", no_args_is_help=True)
