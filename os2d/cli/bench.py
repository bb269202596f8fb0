"""``oneshot bench``: how fast this machine runs a detector."""

from __future__ import annotations

import typer

app = typer.Typer(help="Measure how fast this machine runs a detector, stage by stage.", no_args_is_help=True)
