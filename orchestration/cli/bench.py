"""``oneshot bench``: how fast this machine runs a detector, and how much time orchestration takes beside it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from orchestration.cli.library import FORWARDED, forward
from orchestration.cli.options import app
from orchestration.durable import to_json
from orchestration.screen import results_console

LIBRARY_BENCHMARKS = {
    "os2d": ("os2d.cli.bench:app", "Measure OS2D on this machine, stage by stage."),
    "onenet": ("baselines.onenet.cli.bench:app", "Measure OneNet on this machine, stage by stage."),
    "coae": ("baselines.coae.bench:app", "Measure how much faster CoAE searches images here than its published loop."),
    "joint": (
        "baselines.detector_retrieval.joint.bench:app",
        "Measure how much faster detector + retrieval is evaluated than by a plain loop.",
    ),
}
"""Benchmark -> the typer application that has it as a command, and what ``oneshot bench --help`` says of it."""

bench = typer.Typer(help="Measure how fast a detector and its orchestration are here.", no_args_is_help=True)
app.add_typer(bench, name="bench")


class Format(StrEnum):
    """How the result is printed."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


@bench.command()
def orchestration(
    stages: Annotated[str, typer.Option(metavar="A,B,...", help="only these stages; empty: all")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="small sizes, once: whether it works, not how fast")] = False,
    format: Annotated[Format, typer.Option(help="of what is printed")] = Format.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="the same as --format json")] = False,
    output: Annotated[Path | None, typer.Option(metavar="FILE.json", help="keep the result in a file")] = None,
) -> None:
    """Measure what planning, launching, showing and recording trials cost, beside the bare tools.

    Nothing is written but into a temporary folder. SLURM is measured on the cluster that sbatch on the PATH submits to:
    the jobs do nothing, and are cancelled at once.
    """
    from orchestration.bench.report import as_markdown, as_rich_table, heading, notes
    from orchestration.bench.run import run_benchmark

    report = run_benchmark(stages, quick, Console(stderr=True))
    text = to_json(report.as_json(), indent=1)
    if output is not None:
        output.write_text(text, encoding="utf-8")
    if as_json or format is Format.JSON:
        print(text)
    elif format is Format.MARKDOWN:
        print(as_markdown(report))
    else:
        console = results_console()
        for line in heading(report):
            console.print(line, highlight=False, markup=False)
        console.print("", as_rich_table(report), "")
        for line in notes(report):
            console.print(line, highlight=False, markup=False, style="dim")


for _name, (_application, _help) in LIBRARY_BENCHMARKS.items():
    bench.command(_name, help=_help, **FORWARDED)(forward(f"bench {_name}", _application, [_name]))
