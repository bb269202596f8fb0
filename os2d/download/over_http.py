"""Transfer over http and https, continued by range requests (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from urllib3.exceptions import HTTPError

from os2d.download.remote import (
    CHUNK_BYTES,
    CONNECT_SECONDS,
    READ_SECONDS,
    RemoteError,
    RemoteStream,
    TransientError,
    Wanted,
    page_title,
)

_BUSY = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT_SECONDS = 60.0
_PAGE_BYTES = 1 << 20


@contextmanager
def open_http(url: str, wanted: Wanted) -> Iterator[RemoteStream]:
    """Start the transfer of ``url`` at ``wanted.start`` if the file is still the same, else at its beginning."""
    with requests.Session() as session, answer(session, url, wanted) as response:
        refuse_web_page(response)
        yield stream_of(response, wanted)


@contextmanager
def answer(session: requests.Session, url: str, wanted: Wanted) -> Iterator[requests.Response]:
    """Ask for ``url`` from ``wanted.start`` on; an answer of another version is exchanged for the whole file."""
    response = _get(session, url, wanted)
    try:
        if wanted.start and not _continues(response, wanted):
            response.close()
            response = _get(session, url, Wanted())
        yield response
    except (requests.RequestException, HTTPError) as error:  # while the body is read
        raise TransientError(reason(error)) from error
    finally:
        response.close()


def stream_of(response: requests.Response, wanted: Wanted) -> RemoteStream:
    """Return the body of an answer as a stream."""
    if response.status_code == requests.codes.requested_range_not_satisfiable:  # everything is here already
        return RemoteStream(wanted.start, wanted.start, wanted.version, iter(()))
    start, size = _content_range(response) or (0, _whole_size(response))
    return RemoteStream(start, size, _version(response), _chunks(response))


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield bytes as they come: ``iter_content`` collects whole chunks and forgets one that breaks off."""
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        yield chunk


def refuse_web_page(response: requests.Response) -> None:
    """Raise when a page for people came where a file was expected."""
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise RemoteError(
            f"the server sent a web page{page_title(read_page(response))} instead of the file: "
            "a login, a quota or a moved file"
        )


def read_page(response: requests.Response) -> bytes:
    """Return the beginning of a page; pages are small, and whoever sends more has nothing to say."""
    page = b""
    for chunk in _chunks(response):
        page += chunk
        if len(page) > _PAGE_BYTES:
            break
    return page


def _get(session: requests.Session, url: str, wanted: Wanted) -> requests.Response:
    headers = {"Accept-Encoding": "identity"}  # positions must count the bytes of the file, not of its compression
    if wanted.start:
        headers["Range"] = f"bytes={wanted.start}-"
        if wanted.version and not wanted.version.startswith("W/"):  # RFC 9110: If-Range takes strong validators only
            headers["If-Range"] = wanted.version
    try:
        response = session.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS))
    except (requests.exceptions.SSLError, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise RemoteError(reason(error)) from error
    except requests.exceptions.TooManyRedirects as error:
        raise RemoteError("the server redirects in a circle") from error
    except requests.RequestException as error:
        raise TransientError(reason(error)) from error
    _check_status(response)
    return response


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status < 400 or status == requests.codes.requested_range_not_satisfiable:
        return
    response.close()
    said = f"the server answered {status} {response.reason or ''}".rstrip()
    if status in _BUSY:
        raise TransientError(said, _retry_after_seconds(response))
    raise RemoteError(said)


def _continues(response: requests.Response, wanted: Wanted) -> bool:
    """Tell whether an answer goes on with the same file; the whole file (status 200) is as good as a new one."""
    if response.status_code == requests.codes.requested_range_not_satisfiable:
        total = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
        return total is not None and int(total[1]) == wanted.start and wanted.size in (None, wanted.start)
    if response.status_code != requests.codes.partial_content:
        return True
    found = _content_range(response)
    if found is None or found[0] != wanted.start or _encoded(response):
        return False
    version = _version(response)
    if wanted.version and version:
        return version == wanted.version
    return wanted.size is not None and found[1] == wanted.size  # without any version, the size has to do


def _content_range(response: requests.Response) -> tuple[int, int | None] | None:
    """Return position and whole size of a partial answer."""
    if response.status_code != requests.codes.partial_content:
        return None
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if found is None:
        return None
    start, length = int(found[1]), response.headers.get("Content-Length", "")
    if found[2] != "*":
        return start, int(found[2])
    return start, start + int(length) if length.isdigit() else None


def _whole_size(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    if _encoded(response) or "Transfer-Encoding" in response.headers or not length.isdigit():
        return None
    return int(length)


def _encoded(response: requests.Response) -> bool:
    return response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity")


def _version(response: requests.Response) -> str:
    if _encoded(response):
        return ""
    return response.headers.get("ETag") or response.headers.get("Last-Modified") or ""


def _retry_after_seconds(response: requests.Response) -> float:
    wait = response.headers.get("Retry-After", "")
    return min(float(wait), _LONGEST_WAIT_SECONDS) if wait.isdigit() else 0.0


def reason(error: Exception) -> str:
    """Return the innermost cause: the layers around it repeat it with addresses of objects."""
    cause: object = error
    while True:
        inner = getattr(cause, "reason", None) or next(
            (a for a in getattr(cause, "args", ()) if isinstance(a, Exception)), None
        )
        if not isinstance(inner, Exception):
            return f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
        cause = inner
