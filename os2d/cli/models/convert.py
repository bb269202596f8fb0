"""``oneshot models convert``: other projects' weights for this network, and the other way."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from os2d.modeling.conversion.conversions import CONVERSIONS, CONVERSIONS_OF_TORCHVISION, HERE
from os2d.modeling.conversion.convert_file import AUTO, ConversionReport, DetectorOptions, convert_file
from os2d.modeling.key_comparison import listed

LayoutName = StrEnum("LayoutName", {name: name for name in (AUTO, *CONVERSIONS, "torchvision")})  # type: ignore[misc]
Target = StrEnum("Target", {name: name for name in (HERE, *CONVERSIONS_OF_TORCHVISION)})  # type: ignore[misc]

FROM_KEYS, FOR_THIS_NETWORK = LayoutName(AUTO), Target(HERE)


def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="weights of another project")],
    layout: Annotated[LayoutName, typer.Option(help="names of its keys; auto: told from the keys")] = FROM_KEYS,
    to: Annotated[Target, typer.Option("--to", help="what the result is for")] = FOR_THIS_NETWORK,
    output: Annotated[
        Path | None, typer.Option(help="file or folder of the result (default: the published name, beside FILE)")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace the result if it exists")] = False,
    num_layers: Annotated[
        int | None, typer.Option("--num-layers", "--num_layers", help="accept only a ResNet of so many layers")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="maskrcnn-benchmark: the detector's YAML (default: the .yaml of the same name beside FILE)"),
    ] = None,
    pixel_std: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="maskrcnn-benchmark: instead of INPUT.PIXEL_STD (by default 1 1 1)"),
    ] = None,
    bgr255: Annotated[
        bool | None,
        typer.Option("--bgr255/--rgb", help="maskrcnn-benchmark: instead of INPUT.TO_BGR255 (by default BGR)"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print JSON for programs, and nothing else, to stdout")
    ] = False,
) -> None:
    """Convert a weights file; what it is is told from its keys.

    Every key must be known: a missing, unexpected or wrongly shaped one is an error. Layers that have no place in the
    result are reported as dropped.
    """
    report = convert_file(
        file,
        layout=layout.value,
        target=to.value,
        architecture=None if num_layers is None else f"ResNet{num_layers}",
        detector=DetectorOptions(config, pixel_std, bgr255),
        output=output,
        replace=force,
    )
    print(json.dumps(asdict(report), indent=1) if as_json else _text(report))


def _text(report: ConversionReport) -> str:
    place = f", under '{report.place}'" if report.place else ""
    lines = [
        report.input,
        f"  layout        {report.layout}: {report.holds}",
        f"  recognised by {report.recognised_by}{place}",
        f"  architecture  {report.architecture}",
    ]
    if report.options:
        lines.append(f"  its images    {', '.join(f'{name} {value}' for name, value in report.options.items())}")
    if report.dropped:
        lines.append(f"  dropped       {len(report.dropped)} without a place there: {listed(report.dropped)}")
    lines.append(f"  written       {report.output}: {report.tensors} tensors")
    if report.config:
        lines.append(f"  load it with  {' '.join(f'{key} {value}' for key, value in report.config.items())}")
    return "\n".join(lines)
