"""``oneshot data check``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from os2d.data.catalog import CUSTOM, dataset_names, is_known, resolved_root
from os2d.data.check import CheckedDataset, Finding, check_dataset
from os2d.data.presence import present_names
from os2d.data.published_sizes import PUBLISHED
from os2d.errors import DataError

ALL = "all"
SHOWN_FINDINGS = 200
"""More lines than anyone reads; ``--json`` has them all."""


def check(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", help="names of data sets, custom:FOLDER, or all: whatever is on this machine"
        ),
    ],
    data_root: Annotated[
        Path, typer.Option("--data-root", envvar="ONESHOT_DATA", help="the folder of all named data sets")
    ] = Path("data"),
    deep: Annotated[bool, typer.Option("--deep", help="decode every image to its end, not only its header")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON with every finding")] = False,
) -> None:
    """Look at every file of data sets and tell all that is wrong.

    Exit code 0: everything is in order; 1: there are problems; 2: no such data
    set. Data that is converted or drawn on first use is made now.

    For example:

      oneshot data check grozi-val-new-cl dairy --deep

      oneshot data check custom:my_photos
    """
    root = resolved_root(str(data_root))
    wanted = _wanted(names, root)
    console = Console(stderr=as_json)
    results = []
    for name in wanted:
        with console.status(f"checking {escape(name)}"):
            results.append(check_dataset(name, root, deep=deep))
        if not as_json:
            _show(results[-1], console)
    if as_json:
        typer.echo(json.dumps([_as_json(result) for result in results], indent=2))
    if any(result.problems for result in results):
        raise typer.Exit(1)


def _wanted(names: list[str], root: Path) -> list[str]:
    """Return the names to check.

    Raises:
        DataError: a name is unknown, or ``all`` finds nothing.
    """
    strangers = [n for n in names if n.lower() != ALL and not is_known(n) and not n.lower().startswith(CUSTOM)]
    if strangers:
        raise DataError(
            f"unknown data set {strangers[0]!r}: expected all, {', '.join(dataset_names())}, or custom:FOLDER or "
            "custom:FOLDER#SPLIT for your own images"
        )
    present = present_names(root) if ALL in map(str.lower, names) else []
    wanted = list(dict.fromkeys([n for n in names if n.lower() != ALL] + present))
    if not wanted:
        raise DataError(f"all: there is no data set in {root}; `oneshot data list` tells how to get each")
    return wanted


def _show(result: CheckedDataset, console: Console) -> None:
    found = result.size.described() if result.size else "nothing could be read"
    published = PUBLISHED.get(result.name.lower())
    state = f"problems: {len(result.problems)}" if result.problems else "in order"
    size = f"{found} (published: {published.described()})" if published else found
    console.print(f"[bold]{escape(result.name)}[/bold]: {state}; {size}", highlight=False)
    if not result.findings:
        return
    table = Table(show_lines=True)
    table.add_column("", no_wrap=True)
    table.add_column("where", overflow="fold")
    table.add_column("what", overflow="fold")
    for finding in result.findings[:SHOWN_FINDINGS]:
        table.add_row("problem" if finding.is_problem else "note", escape(finding.where), escape(finding.what))
    console.print(table)
    hidden = len(result.findings) - SHOWN_FINDINGS
    if hidden > 0:
        console.print(f"... and {hidden} more; --json prints them all", highlight=False)


def _as_json(result: CheckedDataset) -> dict[str, object]:
    def listed(wanted: bool) -> list[dict[str, str]]:
        return [_place(f) for f in result.findings if f.is_problem is wanted]

    published = PUBLISHED.get(result.name.lower())
    return {
        "name": result.name,
        "in_order": not result.problems,
        "size": asdict(result.size) if result.size else None,
        "published": asdict(published) if published else None,
        "problems": listed(True),
        "notes": listed(False),
    }


def _place(finding: Finding) -> dict[str, str]:
    return {"where": finding.where, "what": finding.what}
