"""Every error in one shape; none with a traceback or a path in it."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from os2d.serve.refusal import RefusedError, shown

MESSAGES = {
    404: ("not_found", "there is nothing at this address; /openapi.json describes what there is"),
    405: ("method_not_allowed", "this address does not take this method"),
}
"""Status -> what is said when no route has answered."""


def answer_errors(app: FastAPI) -> None:
    """Let an application answer errors in our shape; what is unforeseen is the gate's."""
    app.add_exception_handler(RefusedError, _refusal)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)


def _answer(request: Request, refusal: RefusedError, headers: dict[str, str] | None = None) -> JSONResponse:
    request.app.state.service.metrics.refusals.labels(refusal.code).inc()
    return JSONResponse(refusal.body(), refusal.status, headers={**refusal.headers, **(headers or {})})


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return _answer(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = shown(".".join(map(str, first["loc"][1:])))[1:-1]
    return _answer(request, RefusedError("invalid_value", first["msg"], field or None))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, message = MESSAGES.get(error.status_code, ("malformed_body", "the request cannot be read"))
    return _answer(request, RefusedError(code, message), dict(error.headers or {}))


async def _gone(request: Request, error: Exception) -> Response:
    return _answer(request, RefusedError("abandoned", "the client has closed the connection"))
