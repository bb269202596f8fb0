"""``oneshot models inspect``: what is in a weights file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from os2d.errors import CheckpointError
from os2d.modeling.inspection import Inspection, inspect_file, why_not_loadable

SHOWN_STARTS = 20
"""Lines about the keys of an unknown file."""


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a weights file")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY VALUE]...", help="also try to load it with these settings")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print JSON for programs, and nothing else, to stdout")
    ] = False,
) -> None:
    """Tell what a weights file holds and which configuration keys load it.

    With KEY VALUE pairs, as main.py takes them, it is also loaded into the network they describe; the exit code is 2
    and the message says why if it does not fit.
    """
    told = inspect_file(file)
    reason = why_not_loadable(file, overrides) if overrides else None
    if as_json:
        tried = {"loads": reason is None, "why_not": reason} if overrides else {}
        print(json.dumps({**asdict(told), **tried}, indent=1))
    else:
        print(_text(told))
        if overrides and reason is None:
            print(f"  loads with    {' '.join(overrides)}")
    if reason is not None:
        raise CheckpointError(reason)


def _text(told: Inspection) -> str:
    rows = [
        ("layout", f"{told.layout}: {told.holds}"),
        ("recognised by", told.recognised_by + (f", under '{told.place}'" if told.place else "")),
        ("architecture", " or ".join(told.architectures)),
        ("norm", {None: "", True: "group norm", False: "batch norm"}[told.group_norm]),
        ("version", f"{told.version} (TransformNet with {told.transform_outputs} outputs)" if told.version else ""),
        ("branches", {None: "", True: "merged", False: "separate"}[told.merged]),
        ("parameters", f"{told.parameters:,} in {told.tensors} tensors with buffers"),
        ("optimiser", ", ".join(f"{name} {value}" for name, value in (told.optimizer or {}).items())),
        ("best model", ", ".join(f"{name} {value}" for name, value in told.best_model.items())),
        ("other entries", ", ".join(told.other_entries)),
        ("file", f"{told.format}, {told.size:,} bytes"),
        ("sha256", told.sha256),
        *(("keys", f"{start}: {count}") for start, count in list(told.keys_by_start.items())[:SHOWN_STARTS]),
        ("load it with", " ".join(f"{key} {value}" for key, value in told.config.items())),
        *(("note", note) for note in told.notes),
        *(("problem", problem) for problem in told.problems),
    ]
    return "\n".join([told.path, *(f"  {name:13} {text}" for name, text in rows if text)])
