"""What ``oneshot data fetch`` and ``oneshot models fetch`` share: doing one request after the other, and telling."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Annotated, Protocol, TypeVar

import typer
from rich.console import Console

from os2d.download.fetch import Outcome, Request, State
from os2d.download.progress import Narrator
from os2d.download.receipt import FileRecord
from os2d.errors import DataError, DownloadError

EXIT_CODES_HELP = (
    "Exit codes: 0 everything is there; 2 something has to be done by hand, or cannot be had as asked; "
    "75 a transfer broke off: the same command continues it; 130 interrupted: likewise."
)

ForceOption = Annotated[bool, typer.Option("--force", help="fetch again what is there; replace files that differ")]
ListOption = Annotated[bool, typer.Option("--list", help="list all names, and what is there already")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs, and nothing else, to stdout")]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="URL_OR_FILE",
        help="take the file from this address (http, https, ftp, Google Drive) or path instead of the published one; "
        "a folder or an address that ends with / stands for all files under their published names",
    ),
]


class Named(Protocol):
    """An entry of a table."""

    @property
    def name(self) -> str:
        """What the user calls it."""


Entry = TypeVar("Entry", bound=Named)


@dataclass(frozen=True)
class Report:
    """What is told about one entry.

    Args:
        name: of the entry.
        state: a :class:`~os2d.download.fetch.State`, or ``failed``.
        message: what went wrong, or what to do by hand.
        notes: what else a user should know.
        next: the command that comes next.
        paths: where it lies.
        files: what came in this call.
    """

    name: str
    state: str
    message: str = ""
    notes: tuple[str, ...] = ()
    next: str = ""
    paths: tuple[str, ...] = ()
    files: tuple[FileRecord, ...] = ()


def request_of(source: str | None, force: bool, keep_archive: bool, number_of_entries: int) -> Request:
    """Return the request behind the options; messages and bars go to stderr."""
    is_many = source is not None and not source.endswith("/") and number_of_entries > 1
    if is_many:
        raise DownloadError(f"--from {source}: give one NAME, or a folder or address that ends with '/' for several")
    return Request(source, force, keep_archive, Narrator(Console(stderr=True)))


def find_entries(
    names: Sequence[str], find: Callable[[str], Entry | None], known: Sequence[str], command: str
) -> list[Entry]:
    """Return the entries behind names, each once; raise on the first name that is unknown."""
    found: dict[str, Entry] = {}
    for name in names:
        entry = find(name)
        if entry is None:
            close = get_close_matches(name.lower(), known, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise DataError(f"nothing is known about {name!r}: {hint}`{command} --list` lists all names")
        found[entry.name] = entry
    return list(found.values())


def fetch_one_by_one(
    entries: Sequence[Entry], fetch: Callable[[Entry], Outcome], tell: Callable[[Entry, Outcome], Report], as_json: bool
) -> None:
    """Fetch every entry, tell of each, and leave with the exit code; a failure does not keep the others waiting."""
    reports, codes = [], {0}
    for entry in entries:
        try:
            report = tell(entry, fetch(entry))
            if report.state == State.BY_HAND:
                codes.add(DownloadError.exit_code)
        except DownloadError as error:
            report = Report(entry.name, "failed", message=str(error))
            codes.add(error.exit_code)
        except KeyboardInterrupt:
            print(f"{entry.name}: interrupted; what has come is kept, the same command continues", file=sys.stderr)
            raise
        reports.append(report)
        if not as_json:
            show(report)
    if as_json:
        print(json.dumps([asdict(report) for report in reports], indent=1))
    code = DownloadError.exit_code if DownloadError.exit_code in codes else max(codes)
    if code:
        raise typer.Exit(code)


def show(report: Report) -> None:
    """Print a report for people: failures to stderr."""
    if report.state == "failed":
        print(f"error: {report.name}: {report.message}", file=sys.stderr)
        return
    print(f"{report.name}: {report.state}{f': {report.message}' if report.message else ''}")
    for note in report.notes:
        print(f"  note: {note}")
    if report.next:
        print(f"  next: {report.next}")


def show_table(reports: Sequence[Report], as_json: bool) -> None:
    """Print how things stand with every entry."""
    if as_json:
        print(json.dumps([asdict(report) for report in reports], indent=1))
        return
    width = max(len(report.name) for report in reports)
    for report in reports:
        print(f"{report.name:<{width}}  {report.state:<8}  {report.message}".rstrip())
        for note in report.notes:
            print(f"{'':<{width}}            {note}")
