"""``oneshot bench onenet``: how fast this machine runs OneNet."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from yacs.config import CfgNode

from baselines.onenet.config_file import named_config, read_config
from os2d.cli.bench import FILE_WIDTH, Device, Format, Precision
from os2d.errors import ConfigError

if TYPE_CHECKING:  # loads torch
    from baselines.onenet.bench.run import Report

app = typer.Typer(help="Measure how fast this machine runs OneNet, stage by stage.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure how fast this machine runs OneNet, stage by stage."""


@app.command("onenet")
def onenet(
    config: Annotated[str, typer.Option(help="a published name, or a YAML file")] = "onenet.res18.nodcn",
    device: Annotated[Device, typer.Option(help="auto: a GPU if there is one")] = Device.AUTO,
    threads: Annotated[int, typer.Option(min=0, help="of torch on the CPU; 0: torch's own choice")] = 0,
    precision: Annotated[Precision, typer.Option(help="in inference and training")] = Precision.FP32,
    image_size: Annotated[str, typer.Option(metavar="WxH", help="of the images, in pixels")] = "853x512",
    batches: Annotated[str, typer.Option(metavar="A,B,...", help="images of the inferences")] = "1,16",
    training_batch: Annotated[int, typer.Option(min=0, help="images of a training step; 0: not measured")] = 4,
    compiled: Annotated[bool, typer.Option("--compile", help="compile the network for inference")] = False,
    repeat: Annotated[int, typer.Option(min=1, help="timed repetitions of every stage")] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="small images, few times: whether it works")] = False,
    format: Annotated[Format, typer.Option(help="of what is printed")] = Format.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="the same as --format json")] = False,
    output: Annotated[Path | None, typer.Option(metavar="FILE.json", help="keep the result in a file")] = None,
) -> None:
    """Measure OneNet on this machine: inference and training by stage, and how near they come to its peaks.

    Images are noise that lies on the device already, and weights are random: neither changes how long it takes.
    """
    import torch

    from baselines.onenet.bench.run import run_benchmark
    from os2d.bench.run import parse_size
    from os2d.structures.sizes import Size

    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device is Device.AUTO else device.value
    if threads:
        torch.set_num_threads(threads)
    batch_sizes, file = _batch_sizes(batches), named_config(config)
    report = run_benchmark(
        _configuration(file, chosen, precision, compiled),
        file.stem,
        torch.device(chosen),
        Size(160, 96) if quick else parse_size(image_size),
        [1, 2] if quick else batch_sizes,
        min(training_batch, 2) if quick else training_batch,
        2 if quick else repeat,
        Console(stderr=True),
    )
    text = json.dumps(report.as_json(), indent=1)
    if output is not None:
        output.write_text(text, encoding="utf-8")
    _show(report, text, Format.JSON if as_json else format)


def _batch_sizes(text: str) -> list[int]:
    if not all(part.isdigit() and int(part) for part in text.split(",")):
        raise ConfigError(f"--batches: expected numbers of images separated by commas, got {text!r}")
    return [int(part) for part in text.split(",")]


def _configuration(file: Path, device: str, precision: Precision, compiled: bool) -> CfgNode:
    is_reduced = precision is not Precision.FP32
    values = {
        "MODEL.DEVICE": device,
        "TEST.PRECISION": precision.value,
        "SOLVER.AMP.ENABLED": is_reduced,
        "SOLVER.AMP.PRECISION": precision.value if is_reduced else "fp16",
        "RUNTIME.COMPILE": compiled,
    }
    return read_config(file, [str(part) for item in values.items() for part in item])


def _show(report: Report, as_json: str, format: Format) -> None:
    from os2d.bench.report import as_markdown_table, as_rich_table

    if format is Format.JSON:
        print(as_json)
    elif format is Format.MARKDOWN:
        print("\n".join(f"- {line}" for line in report.heading()) + "\n")
        print(as_markdown_table(report.table()))
    else:
        console = Console() if sys.stdout.isatty() else Console(width=FILE_WIDTH)
        for line in report.heading():
            console.print(line, highlight=False)
        console.print("", as_rich_table(report.table()))
