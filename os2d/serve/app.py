"""The application: settings in, routes and page out; nothing happens before it is started."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.staticfiles import StaticFiles

from os2d.detector import Detector
from os2d.detector.find_model import find_model
from os2d.serve.error_answers import answer_errors
from os2d.serve.gate import Gate
from os2d.serve.routes import all_instances, classes, detection, operation
from os2d.serve.schemas import AllInstancesRequest, ClassRequest, DetectionRequest, json_schemas
from os2d.serve.service import Service
from os2d.serve.settings import ServeSettings, read_settings

PAGE = Path(__file__).with_name("page")
"""Folder of the page's files."""

TITLE = "One-shot detection"


def create_app(
    settings: ServeSettings | None = None,
    load: Callable[[], Detector] | None = None,
    on_failure: Callable[[], None] = lambda: None,
) -> FastAPI:
    """Return the application; it loads the network when it is started, and answers 503 until that is done.

    Args:
        settings: None: those of the environment.
        load: returns the network; None: that of the settings.
        on_failure: called in another thread if the network cannot be loaded; ``app.state.service.worker.failure`` is
            the reason.
    """
    settings = settings or read_settings({})
    service = Service(settings, load or (lambda: load_detector(settings)), on_failure)
    app = FastAPI(title=TITLE, version="1", docs_url=None, redoc_url=None, lifespan=_lifespan)
    app.state.service = service
    answer_errors(app)
    for module in (all_instances, detection, classes, operation):
        app.include_router(module.router)
    app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")
    app.add_middleware(Gate, settings=settings, metrics=service.metrics)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def load_detector(settings: ServeSettings) -> Detector:
    """Return the network of the settings; see :meth:`Detector.from_checkpoint`."""
    return Detector.from_checkpoint(find_model(settings.model or None), device=settings.device)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    worker = app.state.service.worker
    worker.start()
    yield
    await to_thread.run_sync(worker.stop)


def _described(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description, with the bodies that our routes read by themselves."""
    if not app.openapi_schema:
        described = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = json_schemas(AllInstancesRequest, DetectionRequest, ClassRequest)
        described["components"]["schemas"] |= schemas
        app.openapi_schema = described
    return app.openapi_schema
