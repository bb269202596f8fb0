"""``oneshot data scales``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from os2d.data.catalog import resolved_root
from os2d.data.object_sizes import ANCHOR_SIDE_PX, ObjectSizes, measure_objects
from os2d.errors import DataError


def scales(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="names of data sets, or custom:FOLDER")],
    data_root: Annotated[
        Path, typer.Option("--data-root", envvar="ONESHOT_DATA", help="the folder of all named data sets")
    ] = Path("data"),
    anchor_px: Annotated[float, typer.Option("--anchor", min=1, help="wanted size of the median object, pixels")] = (
        ANCHOR_SIDE_PX
    ),
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Measure the objects of data sets and recommend the scale to train and evaluate at.

    The size of an object is the square root of its area, in pixels of the
    loaded image; difficult objects do not count. The scale is the image size
    at which the median object has 240 pixels, as the anchors of OS2D have; use
    it for train.dataset_scale and eval.dataset_scales.

    For example:

      oneshot data scales grozi-train grozi-val-new-cl
    """
    root = resolved_root(str(data_root))
    if not names:
        raise DataError("oneshot data scales: expected the name of a data set")
    console = Console(stderr=as_json)
    measured = []
    for name in names:
        with console.status(f"measuring {escape(name)}"):
            measured.append(measure_objects(name, root, anchor_px))
    if as_json:
        typer.echo(json.dumps([asdict(sizes) for sizes in measured], indent=2))
    else:
        console.print(_table(measured))


def _table(measured: list[ObjectSizes]) -> Table:
    table = Table(title="size of the objects in pixels", box=SIMPLE)
    table.add_column("data set", no_wrap=True)
    for column in ("objects", "image size", "10 %", "median", "90 %", "mean", "scale"):
        table.add_column(column, justify="right")
    for sizes in measured:
        shown = (sizes.percentile_10_px, sizes.median_px, sizes.percentile_90_px, sizes.mean_px)
        counts = (str(sizes.objects), str(sizes.image_size))
        table.add_row(escape(sizes.name), *counts, *(f"{v:.2f}" for v in shown), str(sizes.recommended_scale))
    return table
