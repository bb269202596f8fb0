"""``oneshot data``: one module per command."""

from __future__ import annotations

import typer

from os2d.cli.data.check import check
from os2d.cli.data.fetch import fetch
from os2d.cli.data.link_imagenet import link_imagenet
from os2d.cli.data.list_ import list_
from os2d.cli.data.scales import scales
from os2d.cli.fetching import EXIT_CODES_HELP

app = typer.Typer(help="List, fetch, check and measure the named data sets.", no_args_is_help=True)

app.command("list")(list_)
app.command("fetch", epilog=EXIT_CODES_HELP)(fetch)
app.command("check")(check)
app.command("scales")(scales)
app.command("link-imagenet")(link_imagenet)
app.callback()(lambda: None)  # a group, also while it has a single command
