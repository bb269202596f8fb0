"""``oneshot data list``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from os2d.data.catalog import dataset_names, resolved_root
from os2d.data.presence import State, state_of
from os2d.data.published_sizes import PUBLISHED
from os2d.download.how_to_get import how_to_get

EXAMPLES = {"imagenet-repmet-test-episode-<k>": "0", "imagenet-repmet-val-<n>": "5000"}
"""Number whose size and files stand for the others of a name."""


def list_(
    data_root: Annotated[
        Path, typer.Option("--data-root", envvar="ONESHOT_DATA", help="the folder of all named data sets")
    ] = Path("data"),
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List the named data sets: whether they are on this machine, how large they are, and how to get them."""
    root = resolved_root(str(data_root))
    rows = [_row(name, root) for name in dataset_names()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    console = Console()
    console.print(_table(rows, root))
    console.print("What is to convert or to draw is made on first use; <n> has the size of n = 5000.", highlight=False)
    for steps in dict.fromkeys(row["how_to_get"] for row in rows if row["how_to_get"]):
        names = ", ".join(str(row["name"]) for row in rows if row["how_to_get"] == steps)
        console.print(f"[bold]{names}[/bold]: {steps}", highlight=False)


def _table(rows: list[dict[str, Any]], root: Path) -> Table:
    table = Table(title=f"data sets in {root}; published sizes", box=SIMPLE)
    table.add_column("data set", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for column in ("images", "boxes", "classes", "not difficult"):
        table.add_column(column, justify="right")
    for row in rows:
        counts = row["published"].values() if row["published"] else ()
        table.add_row(row["name"], row["state"], *("" if n is None else str(n) for n in counts))
    return table


def _row(name: str, root: Path) -> dict[str, Any]:
    example = name.partition("<")[0] + EXAMPLES.get(name, "")
    state, published = state_of(example, root), PUBLISHED.get(example)
    return {
        "name": name,
        "state": state.value,
        "published": asdict(published) if published else None,
        "how_to_get": how_to_get(example) if state is State.ABSENT else None,
    }
