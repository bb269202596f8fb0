"""What every protocol offers: a stream of a remote file that starts where an earlier one broke off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import unescape
from pathlib import Path

CONNECT_SECONDS = 15.0
READ_SECONDS = 60.0
"""How long a server may say nothing before the connection counts as broken."""

CHUNK_BYTES = 1 << 18

_FIRST_BYTES = 4096


@dataclass(frozen=True)
class RemoteStream:
    """An open transfer.

    Args:
        start: position in the file of the first byte that comes: the one asked for, or 0 when the server cannot
            continue or has another version now.
        size: of the whole file in bytes; None when the server does not tell.
        version: whatever the server gives to tell versions of a file apart; empty when it gives nothing.
        chunks: the bytes from ``start`` on.
    """

    start: int
    size: int | None
    version: str
    chunks: Iterator[bytes]


@dataclass(frozen=True)
class Wanted:
    """Where an earlier transfer broke off.

    Args:
        start: how many bytes there are already.
        size: of the whole file, as far as known then.
        version: of the file these bytes are from; they are of use only if it is still the same.
    """

    start: int = 0
    size: int | None = None
    version: str = ""


Opener = Callable[[Wanted], AbstractContextManager[RemoteStream]]
"""Starts a transfer; raises :class:`TransientError` when trying again may help, :class:`RemoteError` when it cannot."""


class RemoteError(Exception):
    """The file is not to be had there: trying again cannot help."""


class TransientError(Exception):
    """A connection that failed or a server that is busy: the next attempt may succeed."""

    def __init__(self, message: str, wait_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


def looks_like_web_page(first_bytes: bytes) -> bool:
    """Tell whether a file begins like HTML: a login, quota or error page that came instead of the file."""
    beginning = first_bytes.removeprefix(b"\xef\xbb\xbf").lstrip()[:512].lower()
    return beginning.startswith((b"<!doctype html", b"<html", b"<head"))


def is_web_page(file: Path) -> bool:
    """Tell whether a file on disk is a web page."""
    with file.open("rb") as stream:
        return looks_like_web_page(stream.read(_FIRST_BYTES))


def page_title(page: bytes) -> str:
    """Return the title of a web page in quotes, or nothing."""
    found = re.search(r"<title[^>]*>(.*?)</title>", page.decode("utf-8", "replace"), re.IGNORECASE | re.DOTALL)
    title = " ".join(unescape(found[1]).split())[:120] if found else ""
    return f" titled {title!r}" if title else ""
