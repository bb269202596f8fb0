"""What those who run the server ask: which network it has, whether it is well, what it has done."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from os2d.serve.routes.shared import WITH_KEY, Served, errors, model_name
from os2d.serve.schemas import ErrorAnswer, Limits, ModelDescription, Status

router = APIRouter()


@router.get("/v1/model", tags=["detection"], dependencies=WITH_KEY, responses=errors("not_ready"))
async def model(service: Served) -> ModelDescription:
    """Return which network answers, and what may be asked of it."""
    detector = service.worker.ready().detector
    settings = service.settings
    limits = Limits(
        body_bytes=settings.max_body_bytes,
        image_pixels=service.limits.pixels,
        image_side_px=service.limits.side_px,
        class_images=settings.max_class_images,
        detections=settings.max_detections,
        seconds=settings.request_seconds,
    )
    return ModelDescription(
        **model_name(service.worker.ready()).model_dump(),
        class_names=None if detector.class_names is None else list(detector.class_names),
        default_threshold=detector.default_threshold,
        limits=limits,
    )


@router.get("/healthz", tags=["operation"])
async def healthz() -> Status:
    """Tell that the server answers; if it does not, restart it."""
    return Status(status="ok")


@router.get("/readyz", tags=["operation"], responses={503: {"model": ErrorAnswer, "description": "code not_ready"}})
async def readyz(service: Served) -> Status:
    """Tell whether the network is loaded; until then, send no requests."""
    service.worker.ready()
    return Status(status="ready")


@router.get(
    "/metrics",
    tags=["operation"],
    response_class=Response,
    responses={200: {"content": {CONTENT_TYPE_LATEST.partition(";")[0]: {"schema": {"type": "string"}}}}},
)
def metrics(service: Served) -> Response:
    """Return counters and times for Prometheus."""
    return Response(generate_latest(service.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
