"""``oneshot models``: one module per command."""

from __future__ import annotations

import typer

app = typer.Typer(help="Fetch, convert and inspect weights files.", no_args_is_help=True)
