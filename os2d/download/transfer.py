"""Bring one remote file to this machine: whole or not at all, continued where it broke off."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from os2d.download.google_drive import browser_address, drive_file_id, open_google_drive
from os2d.download.over_ftp import open_ftp
from os2d.download.over_http import open_http
from os2d.download.partial import PartialFile
from os2d.download.progress import SILENT, Narrator, Report
from os2d.download.remote import (
    CHUNK_BYTES,
    Opener,
    RemoteError,
    RemoteStream,
    TransientError,
    Wanted,
    looks_like_web_page,
)
from os2d.errors import DownloadError, DownloadInterruptedError

PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0)
"""Before the second, third, ... attempt. The count begins anew whenever more bytes than ever have come."""


@dataclass(frozen=True)
class Address:
    """Where a file is fetched from.

    Args:
        text: names it in messages, and tells whether an unfinished file is from here.
        open: starts the transfer.
        by_hand: where a person may find the file with a browser; may be empty.
        file: the file, when it is on this machine.
    """

    text: str
    open: Opener
    by_hand: str = ""
    file: Path | None = None


def address_of(url_or_file: str) -> Address:
    """Return the address behind an http, https, ftp or Google Drive link or the path of a local file."""
    scheme = urlsplit(url_or_file).scheme.lower()
    if scheme in ("http", "https"):
        file_id = drive_file_id(url_or_file)
        if file_id is not None:
            return google_drive_address(file_id)
        shown = _without_password(url_or_file)
        return Address(shown, partial(open_http, url_or_file), by_hand=shown)
    if scheme == "ftp":
        return Address(_without_password(url_or_file), partial(open_ftp, url_or_file))
    if "://" in url_or_file and scheme != "file":
        raise DownloadError(f"{url_or_file}: expected a path or an address that begins with http, https or ftp")
    file = Path(unquote(urlsplit(url_or_file).path) if scheme == "file" else url_or_file).expanduser()
    return Address(str(file), partial(_open_local, file), file=file)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def google_drive_address(file_id: str) -> Address:
    """Return the address of a file shared on Google Drive."""
    return Address(f"Google Drive {file_id}", partial(open_google_drive, file_id), by_hand=browser_address(file_id))


def fetch_file(
    address: Address,
    target: Path,
    *,
    sha256_prefix: str = "",
    narrator: Narrator = SILENT,
    pauses_seconds: Sequence[float] = PAUSES_SECONDS,
) -> str:
    """Fetch a file, replacing ``target`` when everything has come, and return its SHA-256.

    Bytes that came before a failure or Ctrl-C are kept in ``<target>.part``; the next call continues there if the
    server still has the same version.

    Args:
        address: where from.
        target: where to.
        sha256_prefix: what the checksum must begin with.
        narrator: tells about progress and new attempts.
        pauses_seconds: before each new attempt.

    Raises:
        DownloadInterruptedError: the connection failed at every attempt; calling again continues.
        DownloadError: the file is not to be had there, is not what was asked for, or cannot be written.
    """
    with PartialFile(target, address.text) as part:
        attempts, most = 0, part.wanted.start
        while True:
            try:
                with narrator.bar(target.name) as report:
                    _receive(address, part, report)
                break
            except RemoteError as error:
                raise DownloadError(f"{address.text}: {error}{_advice(address, target)}") from error
            except TransientError as error:
                attempts, most = (0 if part.wanted.start > most else attempts), max(most, part.wanted.start)
                if attempts == len(pauses_seconds):
                    raise DownloadInterruptedError(_gave_up(address, part, error)) from error
                pause = max(pauses_seconds[attempts], error.wait_seconds)
                attempts += 1
                narrator.say(f"{target.name}: {error}; trying again in {pause:g} s ({attempts}/{len(pauses_seconds)})")
                time.sleep(pause)
        return part.complete(sha256_prefix)


def _receive(address: Address, part: PartialFile, report: Report) -> None:
    """Append what is missing of a file."""
    with address.open(part.wanted) as stream:
        part.accept(stream)
        report(part.wanted.start, stream.size)
        for chunk in stream.chunks:
            if part.wanted.start == 0 and looks_like_web_page(chunk):
                raise DownloadError(
                    f"{address.text}: a web page came instead of the file: a login, a quota or an error"
                )
            part.write(chunk)
            report(part.wanted.start, stream.size)
            if stream.size is not None and part.wanted.start > stream.size:
                break
    if stream.size is not None and part.wanted.start != stream.size:
        raise TransientError(f"{part.wanted.start} bytes came, {stream.size} were announced")
    if part.wanted.start == 0:
        raise RemoteError("the file there is empty")


def _gave_up(address: Address, part: PartialFile, error: TransientError) -> str:
    kept = f"; {part.wanted.start} bytes are kept, the same command continues there" if part.wanted.start else ""
    return f"{address.text}: {error}{kept}{_advice(address, part.target)}"


def _advice(address: Address, target: Path) -> str:
    by_hand = (
        f"by hand: open {address.by_hand} in a browser and save the file as {target}; or " if address.by_hand else ""
    )
    return f"\n{by_hand}name another address or a local file with --from"


@contextmanager
def _open_local(file: Path, wanted: Wanted) -> Iterator[RemoteStream]:
    """Read a file of this machine as if it were remote."""
    try:
        with file.open("rb") as stream:
            status = file.stat()
            version = f"{status.st_size} {status.st_mtime_ns}"
            start = wanted.start if version == wanted.version else 0
            stream.seek(start)
            yield RemoteStream(start, status.st_size, version, iter(partial(stream.read, CHUNK_BYTES), b""))
    except OSError as error:
        raise RemoteError(f"cannot be read ({error.strerror or error})") from error
