"""Reading the bodies of requests: JSON that a schema describes, or the fields of a form."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import PurePosixPath, PureWindowsPath
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from os2d.serve.refusal import RefusedError, shown

Model = TypeVar("Model", bound=BaseModel)

JSON, FORM = "application/json", "multipart/form-data"

LONGEST_FIELD = 4096
"""Bytes of a field of a form that is no file."""

MOST_FIELDS = 1000


def media_type(request: Request) -> str:
    """Return the type of the body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request, model: type[Model]) -> Model:
    """Return the body as its schema describes it.

    Raises:
        RefusedError: it is no JSON, or not as described.
    """
    if media_type(request) not in (JSON, ""):
        raise unsupported(request, JSON)
    body = await request.body()
    try:
        return model.model_validate_json(body)
    except ValidationError as e:
        raise _refusal_of(e) from e


def read_texts(model: type[Model], texts: Mapping[str, str]) -> Model:
    """Return what the text fields of a form say, read by a schema; raise as :func:`read_json` does."""
    try:
        return model.model_validate_strings(texts, strict=False)
    except ValidationError as e:
        raise _refusal_of(e) from e


def _refusal_of(error: ValidationError) -> RefusedError:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return RefusedError("malformed_body", "expected JSON in UTF-8, at most 200 levels deep")
    field = ".".join(str(part) for part in first["loc"])
    return RefusedError("invalid_value", first["msg"], shown(field)[1:-1] if field else None)


@asynccontextmanager
async def read_form(request: Request, fields: Sequence[str], most_files: int) -> AsyncIterator[FormData]:
    """Give the fields of a form; its files are there until the block ends.

    Raises:
        RefusedError: it is no such form, has other fields, or too many files.
    """
    try:
        form = await request.form(max_files=most_files, max_fields=MOST_FIELDS, max_part_size=LONGEST_FIELD)
    except (HTTPException, FormParserError, UnicodeError, ValueError) as e:
        most = f"at most {most_files} files and {LONGEST_FIELD} bytes in any other field"
        raise RefusedError("malformed_body", f"expected a form of type {FORM} with {most}") from e
    unknown = sorted(set(form) - set(fields))
    if unknown:
        raise RefusedError("invalid_value", f"no such field; expected {', '.join(fields)}", shown(unknown[0])[1:-1])
    try:
        yield form
    finally:
        await form.close()


def unsupported(request: Request, *expected: str) -> RefusedError:
    """Return the refusal of a type of body."""
    got = shown(media_type(request)) if media_type(request) else "none"
    return RefusedError("unsupported_body", f"expected Content-Type {' or '.join(expected)}, got {got}")


def files_of(form: FormData, field: str) -> list[UploadFile]:
    """Return the files of a field.

    Raises:
        RefusedError: it has text.
    """
    values = form.getlist(field)
    files = [value for value in values if isinstance(value, UploadFile)]
    if len(files) < len(values):
        raise RefusedError("invalid_value", "expected a file, got text; send it with a file name", field)
    return files


def texts_of(form: FormData, field: str) -> list[str]:
    """Return the texts of a field.

    Raises:
        RefusedError: it has a file.
    """
    values = form.getlist(field)
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < len(values):
        raise RefusedError("invalid_value", "expected text, got a file", field)
    return texts


def stem_of(file: UploadFile) -> str:
    """Return the name of an uploaded file without folders, whatever the client's system, and without its ending."""
    name = PureWindowsPath(PurePosixPath(file.filename or "").name).name
    return PurePosixPath(name).stem
