"""A real web server on this machine that serves files by ranges, and misbehaves on request."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest


@dataclass
class Served:
    """A file on the server and its faults."""

    content: bytes
    etag: str = '"1"'
    content_type: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)  # bytes after which an answer breaks off; one per answer
    statuses: list[int] = field(default_factory=list)  # answered first, one after the other
    announced: int | None = None  # Content-Length, when it is not the truth
    knows_ranges: bool = True
    minds_if_range: bool = True
    tells_size: bool = True
    seconds_per_chunk: float = 0.0
    needs_cookie: str = ""


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    path: str
    range: str | None
    if_range: str | None
    authorization: str | None


class FileServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.asked: list[Asked] = []

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def serve(self, path: str, content: bytes, **faults: object) -> Served:
        self.files[path] = Served(content, **faults)  # type: ignore[arg-type]
        return self.files[path]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that go away in the middle are what is tested."""


@contextmanager
def running_file_server() -> Iterator[FileServer]:
    with FileServer() as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("NO_PROXY", "127.0.0.1")  # also for processes that a test starts
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = (self.headers.get(name) for name in ("Range", "If-Range", "Authorization"))
        self.server.asked.append(Asked(self.path, *asked))
        served = self.server.files.get(self.path) or self.server.files.get(urlsplit(self.path).path)
        if served is None:
            self._send(404, b"not here", {"Content-Type": "text/html"})
        elif served.statuses:
            self._send(served.statuses.pop(0), b"busy", {"Retry-After": "0"})
        elif served.needs_cookie and served.needs_cookie not in self.headers.get("Cookie", ""):
            self._send(200, b"<html><title>who are you?</title></html>", {"Content-Type": "text/html"})
        else:
            self._send_file(served)

    def _send_file(self, served: Served) -> None:
        headers = {"ETag": served.etag, "Content-Type": served.content_type, **served.headers}
        wanted = self.headers.get("Range")
        if_range = self.headers.get("If-Range")
        changed = served.minds_if_range and if_range not in (None, served.etag)
        if wanted is None or not served.knows_ranges or changed:
            return self._send(200, served.content, headers, served)
        start, size = int(wanted.removeprefix("bytes=").removesuffix("-")), len(served.content)
        if start >= size:
            return self._send(416, b"", {"Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        return self._send(206, served.content[start:], headers, served)

    def _send(self, status: int, body: bytes, headers: dict[str, str], served: Served | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        if served is None or served.tells_size:
            announced = served.announced if served is not None and served.announced is not None else len(body)
            self.send_header("Content-Length", str(announced))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if served is not None and served.cut_after:
            body = body[: served.cut_after.pop(0)]
        step = 16384 if served is not None and served.seconds_per_chunk else max(len(body), 1)
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            self.wfile.flush()
            time.sleep(served.seconds_per_chunk if served is not None else 0)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""
