"""``oneshot data fetch``."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote
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
from os2d.download.fetch import Outcome, State, dataset_state, fetch_dataset
from os2d.download.how_to_get import find_dataset_download
from os2d.download.sources import DATASETS, DatasetDownload

COMMAND = "oneshot data fetch"


def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME...", help="an archive (grozi) or a data set in it (grozi-val-new-cl)"),
    ] = None,
    data_root: Annotated[
        Path, typer.Option("--data-root", envvar="ONESHOT_DATA", help="the folder of all named data sets")
    ] = Path("data"),
    force: ForceOption = False,
    source: FromOption = None,
    keep_archive: Annotated[
        bool, typer.Option("--keep-archive", help="leave the archive beside what was unpacked")
    ] = False,
    list_all: ListOption = False,
    as_json: JsonOption = False,
) -> None:
    """Download published data sets and unpack them where training and evaluation look for them.

    A transfer that broke off, or that you stopped with Ctrl-C, continues when
    the same command runs again. What is complete is left alone. Existing files
    are kept unless --force is given. Nothing is unpacked in part: an archive
    that is damaged, or wants to write outside its folder, changes nothing.

    A machine without internet takes an archive that was copied there:
    oneshot data fetch grozi --from grozi.zip

    For example:

      oneshot data fetch --list

      oneshot data fetch grozi dairy

      oneshot data fetch instre --from ftp://mirror.example/instre/
    """
    root = data_root.expanduser().absolute()
    if list_all or not names:
        show_table([_standing(entry, root) for entry in DATASETS], as_json)
        return
    known = [entry.name for entry in DATASETS] + [name for entry in DATASETS for name in entry.provides]
    entries = find_entries(names, find_dataset_download, known, COMMAND)
    request = request_of(source, force, keep_archive, len(entries))
    fetch_one_by_one(
        entries,
        fetch=lambda entry: fetch_dataset(entry, root, request),
        tell=lambda entry, outcome: _report(entry, outcome, data_root),
        as_json=as_json,
    )


def _report(entry: DatasetDownload, outcome: Outcome, data_root: Path) -> Report:
    by_hand = outcome.state is State.BY_HAND
    return Report(
        name=entry.name,
        state=outcome.state,
        message=entry.manual if by_hand else "",
        notes=_notes(entry, data_root.expanduser().absolute()),
        next="" if by_hand else _check_command(entry, data_root),
        paths=tuple(str(path) for path in outcome.paths),
        files=outcome.files,
    )


def _standing(entry: DatasetDownload, root: Path) -> Report:
    state = dataset_state(entry, root)
    parts = (entry.size, ", ".join(entry.provides), entry.manual)
    return Report(entry.name, state, "; ".join(part for part in parts if part), _notes(entry, root))


def _notes(entry: DatasetDownload, root: Path) -> tuple[str, ...]:
    """Return what a user should know: remarks of the table, and what is needed besides and is not there."""
    missing = [
        f"also needed: {other.name}: {other.manual or f'{COMMAND} {other.name}'}"
        for other in DATASETS
        if other.name in entry.needs and dataset_state(other, root) is not State.COMPLETE
    ]
    return (*([entry.note] if entry.note else []), *missing)


def _check_command(entry: DatasetDownload, data_root: Path) -> str:
    names = [name for name in entry.provides if "*" not in name]
    names += [name.replace("*", "1") for name in entry.provides if name.endswith("episode-*")]
    if not names:
        return ""
    found_by_itself = str(data_root) in ("data", os.environ.get("ONESHOT_DATA"))
    where = "" if found_by_itself else f" --data-root {quote(str(data_root))}"
    return f"oneshot data check {' '.join(names)}{where}"
