"""The command ``init``: a file of experiments to begin with."""

from __future__ import annotations

import shlex
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.options import app
from orchestration.durable import create_whole
from orchestration.errors import DescriptionError


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a Python file that does not exist yet")] = Path(
        "my_experiments.py"
    ),
) -> None:
    """Write a commented file of experiments to begin with: two losses at two learning rates, with a table."""
    if file.suffix != ".py":
        raise DescriptionError(f"{file}: expected a Python file; call it {file.name}.py")
    if not file.absolute().parent.is_dir():
        raise DescriptionError(f"{file}: there is no folder {file.absolute().parent}; make it first")
    if not create_whole(file, (files("orchestration") / "templates" / "starter.py.txt").read_text(encoding="utf-8")):
        raise DescriptionError(f"{file}: it exists already, and is left as it is; name another file")
    typer.echo(f"written to {file}; look at it, then: oneshot plan {shlex.quote(str(file))}")
