"""Commands that a detector library brings itself: named by import strings, loaded when one of them is used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import typer

from orchestration.cli.options import app

LIBRARY_COMMANDS = {
    "data": ("os2d.cli.data:app", "Fetch, check and measure the named data sets."),
    "models": ("os2d.cli.models:app", "Fetch, convert and inspect weights files."),
    "bench": ("os2d.cli.bench:app", "Measure how fast this machine runs a detector, stage by stage."),
}
"""Command -> the typer application behind it, and what ``oneshot --help`` says of it."""


def _forward(name: str, application: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        module, _, attribute = application.partition(":")
        group = getattr(import_module(module), attribute)
        code = group(context.args, prog_name=f"oneshot {name}", standalone_mode=False)
        raise typer.Exit(code if isinstance(code, int) else 0)

    return command


for _name, (_application, _help) in LIBRARY_COMMANDS.items():
    app.command(
        _name,
        help=_help,
        add_help_option=False,  # its own help is the one that counts
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
    )(_forward(_name, _application))
