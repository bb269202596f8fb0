"""The way in and out of the server: size and speed of uploads, headers of answers, counting, and no error unsaid."""

from __future__ import annotations

import asyncio
import logging
import time
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from os2d.serve.metrics import Metrics
from os2d.serve.refusal import RefusedError
from os2d.serve.settings import ServeSettings

logger = logging.getLogger(__name__)

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The page runs its own files only, and no other page can hold it."""

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Gate:
    """ASGI middleware around everything.

    Args:
        app: behind it.
        settings: of the server.
        metrics: that are told of every answer.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        started = time.monotonic()
        try:
            upload = _Upload(receive, self._settings)
            upload.check_announced(Headers(scope=scope).get("content-length"))
            await self._app(scope, upload, answer)
        except RefusedError as e:  # of what was announced: nothing behind the gate has seen it
            self._metrics.refusals.labels(e.code).inc()
            await JSONResponse(e.body(), e.status, headers=e.headers)(scope, receive, answer)
        except Exception:
            self._metrics.refusals.labels("internal").inc()
            logger.exception("request %s: %r failed", answer.request_id, scope["path"])
            if not answer.status:
                unsaid = RefusedError("internal", f"the server failed; its log tells more under {answer.request_id}")
                await JSONResponse(unsaid.body(), unsaid.status)(scope, receive, answer)
        finally:
            self._count(scope, answer.status, time.monotonic() - started)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        # Only what is known becomes a label: a client that makes up paths and methods must not fill the memory.
        route = getattr(scope.get("route"), "path", "") or "other"
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(route, method, status).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)


class _Answer:
    """Adds our headers to what is sent, and remembers its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.request_id = uuid4().hex[:16]

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in {**HEADERS, "X-Request-Id": self.request_id}.items():
                headers.setdefault(name, value)
            if headers.get("content-type", "").startswith("application/json"):
                headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


class _Upload:
    """Reads a body that may be neither too large nor too slow."""

    def __init__(self, receive: Receive, settings: ServeSettings) -> None:
        self._receive, self._settings = receive, settings
        self._size, self._complete = 0, False

    def check_announced(self, length: str | None) -> None:
        if length and length.isdecimal() and int(length) > self._settings.max_body_bytes:
            raise self._too_large()

    async def __call__(self) -> Message:
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout(self._settings.upload_seconds):
                message = await self._receive()
        except TimeoutError as e:
            message_ = f"nothing has come for {self._settings.upload_seconds:g} s; send the request again"
            raise RefusedError("upload_too_slow", message_) from e
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._size > self._settings.max_body_bytes:
                raise self._too_large()
        return message

    def _too_large(self) -> RefusedError:
        most = f"{self._settings.max_body_mb:g} MiB"
        return RefusedError("body_too_large", f"expected a request of at most {most}; send smaller or fewer pictures")
