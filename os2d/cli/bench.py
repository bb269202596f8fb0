"""``oneshot bench``: how fast this machine runs a detector."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from os2d.bench.report import Report

app = typer.Typer(help="Measure how fast this machine runs a detector, stage by stage.", no_args_is_help=True)

FILE_WIDTH = 160
"""Columns of what is printed into a file or a pipe."""


class Device(StrEnum):
    """Where the work is done."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """Number format of convolutions and matrix products."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class Format(StrEnum):
    """How the result is printed."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


@app.callback()
def bench() -> None:
    """Measure how fast this machine runs a detector, stage by stage."""


@app.command("os2d")
def os2d(
    device: Annotated[Device, typer.Option(help="auto: a GPU if there is one")] = Device.AUTO,
    threads: Annotated[int, typer.Option(min=0, help="of torch on the CPU; 0: torch's own choice")] = 0,
    precision: Annotated[Precision, typer.Option(help="of our network, in evaluation and training")] = Precision.FP32,
    image_size: Annotated[str, typer.Option(metavar="WxH", help="of the measured image, in pixels")] = "1280x960",
    classes: Annotated[int, typer.Option(min=1, help="class images that are matched with it")] = 8,
    backbone: Annotated[str, typer.Option(help="ResNet18, ResNet34, ResNet50 or ResNet101")] = "ResNet50",
    backbone_cut: Annotated[str, typer.Option(hidden=True, help="layer1, layer2 or layer3")] = "layer3",
    template_grid: Annotated[int, typer.Option(hidden=True, help="cells per side of a class template")] = 15,
    repeat: Annotated[int, typer.Option(min=1, help="timed repetitions of every stage")] = 5,
    workers: Annotated[int, typer.Option(min=0, help="processes that prepare training batches")] = 2,
    quick: Annotated[bool, typer.Option("--quick", help="a first impression in under a minute")] = False,
    stages: Annotated[str, typer.Option(metavar="A,B,...", help="only these stages; empty: all")] = "",
    dataset: Annotated[
        str | None, typer.Option(help="a data set to evaluate, mine and train on, such as custom:FOLDER#SPLIT")
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="folder of the named data sets")] = None,
    images: Annotated[int, typer.Option(min=0, help="images of an evaluation; 0: all")] = 1,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="a checkout of the published OS2D: measured alternately and compared"),
    ] = None,
    format: Annotated[Format, typer.Option(help="of what is printed")] = Format.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="the same as --format json")] = False,
    output: Annotated[Path | None, typer.Option(metavar="FILE.json", help="keep the result in a file")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="draw the result")] = None,
) -> None:
    """Measure OS2D on this machine: every stage by itself, and how near it comes to what the machine can do.

    With --against the exit code is 1 if both programs do not find the same.
    """
    import torch

    from os2d.bench.plot import save_plot
    from os2d.bench.report import as_markdown
    from os2d.bench.run import parse_size, run_benchmark
    from os2d.bench.settings import Settings

    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device is Device.AUTO else device.value
    settings = Settings(
        device=chosen,
        threads=threads,
        precision=precision.value,
        image_size=parse_size(image_size),
        classes=classes,
        backbone=backbone,
        backbone_cut=backbone_cut,
        template_grid=template_grid,
        repetitions=repeat,
        workers=workers,
        dataset=dataset,
        data_root=data_root,
        evaluated_images=images or None,
    )
    report = run_benchmark(settings.quicker() if quick else settings, stages, against, Console(stderr=True))
    text = json.dumps(report.as_json(), indent=1)
    if output is not None:
        output.write_text(text, encoding="utf-8")
    if plot is not None:
        save_plot(report, plot)
    if as_json or format is Format.JSON:
        print(text)
    elif format is Format.MARKDOWN:
        print(as_markdown(report))
    else:
        _print_tables(report)
    if any(not difference.within for difference in report.differences):
        raise typer.Exit(1)


def _print_tables(report: Report) -> None:
    from os2d.bench.report import as_rich_table, difference_lines, heading, text_tables

    console = Console() if sys.stdout.isatty() else Console(width=FILE_WIDTH)
    for line in heading(report):
        console.print(line, highlight=False)
    for table in text_tables(report):
        console.print()
        console.print(as_rich_table(table))
    for line in difference_lines(report.differences):
        console.print(line, highlight=False)
