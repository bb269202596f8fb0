"""Why a request is not answered as its sender hoped: one table of codes, one exception."""

from __future__ import annotations

from collections.abc import Mapping

STATUS: Mapping[str, int] = {
    "malformed_body": 400,
    "unauthorised": 401,
    "not_found": 404,
    "unknown_class": 404,
    "method_not_allowed": 405,
    "upload_too_slow": 408,
    "class_exists": 409,
    "body_too_large": 413,
    "image_too_large": 413,
    "unsupported_body": 415,
    "unsupported_image": 415,
    "invalid_value": 422,
    "damaged_image": 422,
    "overloaded": 429,
    "abandoned": 499,
    "internal": 500,
    "not_ready": 503,
    "out_of_memory": 503,
    "timeout": 504,
}
"""Code of an error -> HTTP status."""

SHOWN_CHARACTERS = 80
"""What a message repeats of a value that a client sent."""


class RefusedError(Exception):
    """A request that cannot be answered.

    Args:
        code: one of :data:`STATUS`.
        message: what was expected and what to do, for the person behind the client.
        field: what of the request is meant, such as ``classes.0.name``.
        retry_seconds: when it is worth to try again.
    """

    def __init__(self, code: str, message: str, field: str | None = None, retry_seconds: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.field, self.retry_seconds = code, message, field, retry_seconds

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return STATUS[self.code]

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that belong to the status."""
        return {} if self.retry_seconds is None else {"Retry-After": str(self.retry_seconds)}

    def body(self) -> dict[str, dict[str, str | None]]:
        """Return what the client reads."""
        return {"error": {"code": self.code, "message": self.message, "field": self.field}}


def shown(value: str) -> str:
    """Return a value of a client as a message may repeat it: quoted, printable, short."""
    short = value if len(value) <= SHOWN_CHARACTERS else f"{value[:SHOWN_CHARACTERS]}..."
    return ascii(short)
