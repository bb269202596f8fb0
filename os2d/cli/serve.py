"""``oneshot serve``: a detector behind HTTP, with its page."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from os2d.errors import ConfigError

app = typer.Typer(help="Serve a detector over HTTP, with a page to try it.", add_completion=False)

EXTRA = ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "pydantic_settings")
"""What only this command needs."""

ENVIRONMENT = (
    "Every option can be an environment variable ONESHOT_SERVE_..., such as ONESHOT_SERVE_MAX_PENDING; the key that "
    "clients must send as X-API-Key is only read from ONESHOT_SERVE_API_KEY, because other users can see command lines."
)


def _option(metavar: str, meaning: str) -> Any:
    return typer.Option(metavar=metavar, help=meaning, show_default=False)


@app.command(epilog=ENVIRONMENT)
def serve(
    model: Annotated[str | None, _option("MODEL", "weights file, name of released weights, or trial")] = None,
    device: Annotated[str | None, _option("DEVICE", "auto, cpu or cuda (auto: a GPU if there is one)")] = None,
    scales: Annotated[str | None, _option("PIXELS,...", "sizes at which images are seen (the network's own)")] = None,
    published_route_px: Annotated[
        int | None, _option("PIXELS", "root of the area at which /detect-all-instances sees images (1500)")
    ] = None,
    host: Annotated[str | None, _option("ADDRESS", "to listen at (127.0.0.1: this machine only)")] = None,
    port: Annotated[int | None, _option("PORT", "to listen at (8000); 0: a free one, which the log tells")] = None,
    max_body_mb: Annotated[float | None, _option("MIB", "largest request (32)")] = None,
    max_megapixels: Annotated[float | None, _option("N", "largest picture, in millions of pixels (25)")] = None,
    max_side_px: Annotated[int | None, _option("PIXELS", "longest side of a picture (12000)")] = None,
    max_class_images: Annotated[int | None, _option("N", "class images of one request (20)")] = None,
    max_detections: Annotated[int | None, _option("N", "most detections of one answer (1000)")] = None,
    max_pending: Annotated[int | None, _option("N", "requests taken on at a time; others get 429 (16)")] = None,
    max_batch: Annotated[int | None, _option("N", "images that go through the network together (4)")] = None,
    batch_wait_ms: Annotated[float | None, _option("MS", "how long an image waits for others to join (3)")] = None,
    request_seconds: Annotated[float | None, _option("SECONDS", "from a request to its answer, at most (60)")] = None,
    upload_seconds: Annotated[float | None, _option("SECONDS", "longest pause within an upload (15)")] = None,
    cached_class_images: Annotated[int | None, _option("N", "registered class images that are kept (256)")] = None,
) -> None:
    """Serve a detector over HTTP, with a page to try it at the same address; Ctrl-C ends.

    Without --model it is the released OS2D, if it was fetched.
    """
    given = {name: value for name, value in locals().items() if value is not None}
    missing = [package for package in EXTRA if find_spec(package) is None]
    if missing:
        raise ConfigError(f"serve: {', '.join(missing)} not installed; in the checkout: pip install -e '.[serve]'")

    from os2d.serve.settings import read_settings

    settings = read_settings(given)

    from os2d.serve.server import run_server

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s: %(message)s")
    run_server(settings)
