"""What the routes share: who may call them, the server behind them, how their errors are described."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from os2d.serve.computing import Computing
from os2d.serve.refusal import STATUS, RefusedError
from os2d.serve.schemas import ErrorAnswer, ModelName
from os2d.serve.service import Service

KEY_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="only if the server was started with a key")


def service_of(request: Request) -> Service:
    """Return the server that a request came to."""
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(service_of)]


def check_key(service: Served, key: Annotated[str | None, Security(KEY_HEADER)]) -> None:
    """Refuse those without the key, if there is one."""
    expected = service.settings.api_key
    if expected is None:
        return
    if not hmac.compare_digest((key or "").encode(), expected.get_secret_value().encode()):
        raise RefusedError("unauthorised", "expected the key of this server in the header X-API-Key")


WITH_KEY = [Depends(check_key)]


def errors(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the description of error answers, by status."""
    described: dict[int | str, dict[str, Any]] = {}
    for code in sorted({"unauthorised", *codes}, key=lambda code: STATUS[code]):
        before = described.get(STATUS[code])
        text = f"{before['description']}, {code}" if before else f"code {code}"
        described[STATUS[code]] = {"model": ErrorAnswer, "description": text}
    return described


READING = (
    *("malformed_body", "upload_too_slow", "body_too_large", "image_too_large", "unsupported_body"),
    *("unsupported_image", "invalid_value", "damaged_image"),
)
"""Codes of routes that read pictures."""

WORKING = ("overloaded", "not_ready", "out_of_memory", "timeout")
"""Codes of routes that let the network work."""


def model_name(computing: Computing) -> ModelName:
    """Return which network answers: never where its file lies."""
    return ModelName(name=computing.detector.name, weights=computing.detector.weights.name)


def own_classes(field: str) -> RefusedError:
    """Return the refusal of class images by a network that was trained for certain classes."""
    return RefusedError(
        "invalid_value", "this network finds the classes it was trained on, and learns no others", field
    )
