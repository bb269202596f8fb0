"""Transfer over ftp, continued by the REST command (RFC 3659)."""

from __future__ import annotations

import ftplib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import unquote, urlsplit

from os2d.download.remote import CHUNK_BYTES, READ_SECONDS, RemoteError, RemoteStream, TransientError, Wanted


@contextmanager
def open_ftp(url: str, wanted: Wanted) -> Iterator[RemoteStream]:
    """Start the transfer of ``url`` at ``wanted.start`` if the file is still the same, else at its beginning."""
    parts = urlsplit(url)
    path = unquote(parts.path).lstrip("/")  # relative to where the login leads (RFC 1738)
    try:
        with closing(ftplib.FTP(timeout=READ_SECONDS)) as server:  # FTP.__exit__ waits for an answer, also after Ctrl-C
            server.connect(parts.hostname or "", parts.port or ftplib.FTP_PORT)
            server.login(unquote(parts.username or ""), unquote(parts.password or ""))
            server.voidcmd("TYPE I")  # sizes and positions count bytes only in binary mode
            size, version = _ask_size(server, path), _ask_version(server, path)
            continues = wanted.start > 0 and _same(wanted, size, version) and _can_restart(server, wanted.start)
            start = wanted.start if continues else 0
            chunks = iter(()) if continues and start == size else _receive(server, path, start, size)
            yield RemoteStream(start, size, version, chunks)
    except ftplib.error_perm as error:
        raise RemoteError(f"the server answered {error}") from error
    except ftplib.Error as error:
        raise TransientError(f"the server answered {error}") from error
    except (EOFError, OSError) as error:
        raise TransientError(f"{type(error).__name__}: {error}".removesuffix(": ")) from error


def _same(wanted: Wanted, size: int | None, version: str) -> bool:
    if size is None or wanted.start > size:
        return False
    return version == wanted.version if version and wanted.version else size == wanted.size


def _receive(server: ftplib.FTP, path: str, start: int, size: int | None) -> Iterator[bytes]:
    with server.transfercmd(f"RETR {path}", rest=start or None) as connection:
        while chunk := connection.recv(CHUNK_BYTES):
            yield chunk
    if size is None:  # else the count of bytes tells, and this connection may long be dead: nothing came over it
        server.voidresp()


def _can_restart(server: ftplib.FTP, start: int) -> bool:
    try:
        server.sendcmd(f"REST {start}")
    except ftplib.error_perm:
        return False
    return True


def _ask_size(server: ftplib.FTP, path: str) -> int | None:
    try:
        return server.size(path)
    except ftplib.error_perm:  # not told; whether the file is there shows when it is asked for
        return None


def _ask_version(server: ftplib.FTP, path: str) -> str:
    """Return when the file was last changed, as the server writes it."""
    try:
        return server.voidcmd(f"MDTM {path}").partition(" ")[2].strip()
    except ftplib.error_perm:
        return ""
