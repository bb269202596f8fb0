"""Commands that a detector library brings itself: named by import strings, loaded when one of them is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import typer

from orchestration.cli.options import app

LIBRARY_COMMANDS = {
    "detect": ("os2d.cli.detect:app", "Find the objects of some class images in images and videos."),
    "data": ("os2d.cli.data:app", "Fetch, check and measure the named data sets."),
    "models": ("orchestration.cli.models:app", "Fetch, convert, inspect and publish weights files."),
    "serve": ("os2d.cli.serve:app", "Serve a detector over HTTP, with a page to try it."),
    "export": ("baselines.onenet.cli.export:app", "Write a trained OneNet for ONNX Runtime or TensorRT."),
}
"""Command -> the typer application behind it, and what ``oneshot --help`` says of it."""


FORWARDED: dict[str, Any] = {
    "add_help_option": False,  # its own help is the one that counts
    "context_settings": {
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
    },
}
"""Settings of a command that another application reads."""


def forward(name: str, application: str, before: Sequence[str] = ()) -> Callable[[typer.Context], None]:
    """Return the command ``oneshot <name>``, which passes its arguments on, behind those that come before them."""

    def command(context: typer.Context) -> None:
        module, _, attribute = application.partition(":")
        group = getattr(import_module(module), attribute)
        shown = f"oneshot {name}".removesuffix(f" {' '.join(before)}")
        code = group([*before, *context.args], prog_name=shown, standalone_mode=False)
        raise typer.Exit(code if isinstance(code, int) else 0)

    return command


for _name, (_application, _help) in LIBRARY_COMMANDS.items():
    app.command(_name, help=_help, **FORWARDED)(forward(_name, _application))
