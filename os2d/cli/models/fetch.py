"""``oneshot models fetch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from os2d.cli.fetching import (
    ForceOption,
    FromOption,
    JsonOption,
    ListOption,
    Report,
    fetch_one_by_one,
    find_entries,
    request_of,
    show_table,
)
from os2d.download.fetch import Outcome, fetch_model, model_state, place
from os2d.download.how_to_get import find_model_download, how_to_convert
from os2d.download.sources import MODELS, ModelDownload

COMMAND = "oneshot models fetch"


def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME...", help="published weights (os2d_v2-train), or the name of their file"),
    ] = None,
    folder: Annotated[Path, typer.Option("--folder", help="where weights are kept")] = Path("models"),
    force: ForceOption = False,
    source: FromOption = None,
    list_all: ListOption = False,
    as_json: JsonOption = False,
) -> None:
    """Download published weights to where the published commands look for them.

    A transfer that broke off, or that you stopped with Ctrl-C, continues when
    the same command runs again. What is complete is left alone. A login or
    quota page that comes in place of a file is recognised and not kept.

    Weights of other projects are converted afterwards: the command that does
    it is printed.

    A machine without internet takes a file that was copied there:
    oneshot models fetch os2d_v2-train --from os2d_v2-train.pth

    For example:

      oneshot models fetch --list

      oneshot models fetch os2d_v2-train

      oneshot models fetch models/R-50-GN.pkl
    """
    into = folder.expanduser().absolute()
    if list_all or not names:
        show_table([_standing(entry, into) for entry in MODELS], as_json)
        return
    known = [entry.name for entry in MODELS]
    entries = find_entries(names, find_model_download, known, COMMAND)
    request = request_of(source, force, keep_archive=False, number_of_entries=len(entries))
    fetch_one_by_one(
        entries,
        fetch=lambda entry: fetch_model(entry, into, request),
        tell=lambda entry, outcome: _report(entry, outcome, folder),
        as_json=as_json,
    )


def _report(entry: ModelDownload, outcome: Outcome, folder: Path) -> Report:
    return Report(
        name=entry.name,
        state=outcome.state,
        notes=(entry.note,) if entry.note else (),
        next=_next(entry, folder),
        paths=tuple(str(path) for path in outcome.paths),
        files=outcome.files,
    )


def _standing(entry: ModelDownload, folder: Path) -> Report:
    files = entry.folder or entry.files[0].file
    result = f"mAP {entry.mAP_grozi_val_new_cl:g} on grozi-val-new-cl" if entry.mAP_grozi_val_new_cl else ""
    converted = f"to be converted ({entry.convert})" if entry.convert else ""
    message = "; ".join(part for part in (files, entry.size, result, converted) if part)
    return Report(entry.name, model_state(entry, folder), message, (entry.note,) if entry.note else ())


def _next(entry: ModelDownload, folder: Path) -> str:
    if entry.convert:
        return how_to_convert(entry, folder)
    if entry.mAP_grozi_val_new_cl is not None:
        return f"python main.py ... init.model {place(entry.files[0].file, folder)}"
    return ""
