"""``POST /v1/detect``: what is where in an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from fastapi import APIRouter, Request
from PIL.Image import Image

from os2d.detector import LearnedClasses
from os2d.serve.bodies import FORM, JSON
from os2d.serve.parsed_request import RequestedDetection, read_detection
from os2d.serve.refusal import RefusedError, shown
from os2d.serve.routes.shared import READING, WITH_KEY, WORKING, Served, errors, model_name, own_classes
from os2d.serve.schemas import Detections, FoundObject, ImageSize, Seconds
from os2d.serve.service import Service
from os2d.serve.work import Search

router = APIRouter(prefix="/v1", tags=["detection"])

MOST_UNASKED = 100
"""Detections in an answer to a request that names no number."""

FILE = {"type": "string", "format": "binary"}
TEXT = {"type": "string"}

FORM_SCHEMA = {
    "type": "object",
    "required": ["image"],
    "additionalProperties": False,
    "properties": {
        "image": {**FILE, "description": "JPEG, PNG or WebP"},
        "class_image": {
            "type": "array",
            "items": FILE,
            "description": "pictures of classes; a class is called as its file without the ending",
        },
        "class_name": {"type": "array", "items": TEXT, "description": "names in place of those of the files, in order"},
        "class": {"type": "array", "items": TEXT, "description": "names of registered classes"},
        "threshold": {"type": "number", "minimum": -1, "maximum": 1},
        "max_detections": {"type": "integer", "minimum": 1},
    },
}
BODY = {
    "required": True,
    "content": {
        FORM: {"schema": FORM_SCHEMA},
        JSON: {"schema": {"$ref": "#/components/schemas/DetectionRequest"}},
    },
}


@router.post(
    "/detect",
    dependencies=WITH_KEY,
    responses=errors(*READING, *WORKING, "unknown_class"),
    openapi_extra={"requestBody": BODY},
)
async def detect(request: Request, service: Served) -> Detections:
    """Return what is found of some classes in an image, best first."""
    async with service.pending() as computing:
        requested = await read_detection(request, service.settings)
        trained = computing.detector.class_names
        _check_classes(requested, trained)
        if trained is None:
            work = partial(_search, requested, service.classes.use(requested.names, "class"), service)
        else:
            work = partial(_search_trained, requested, trained, service)
        search = await service.in_thread(work)
        done = await service.compute(search, request)
    width, height = search.image.size
    return Detections(
        image=ImageSize(width=width, height=height),
        model=model_name(computing),
        detections=[FoundObject.from_detection(found) for found in done.result],
        seconds=Seconds(queued=done.queued_seconds, computed=done.computed_seconds),
    )


def _search(requested: RequestedDetection, learned: Sequence[LearnedClasses], service: Service) -> Search:
    """Return the work, its pictures decoded."""
    return _made(requested, requested.classes.decode(service.limits), learned, service)


def _search_trained(requested: RequestedDetection, trained: Sequence[str], service: Service) -> Search:
    """Return the work for a network that finds the classes it was trained on: those that are asked for, or all."""
    return _made(requested, dict.fromkeys(requested.names or trained, ()), [], service)


def _made(
    requested: RequestedDetection,
    class_images: Mapping[str, Sequence[Image]],
    learned: Sequence[LearnedClasses],
    service: Service,
) -> Search:
    options, settings = requested.options, service.settings
    most = options.max_detections or min(MOST_UNASKED, settings.max_detections)
    return Search(
        requested.image.decode(service.limits), class_images, learned, options.threshold, most, settings.scales or None
    )


def _check_classes(requested: RequestedDetection, trained: Sequence[str] | None) -> None:
    if trained is None and not requested.classes and not requested.names:
        message = "expected class images or names of registered classes: this network has no classes of its own"
        raise RefusedError("invalid_value", message, "classes")
    if trained is not None:
        if requested.classes:
            raise own_classes("classes")
        for name in requested.names:
            if name not in trained:
                message = f"this network does not know {shown(name)}; its class_names are told at /v1/model"
                raise RefusedError("unknown_class", message, "class")
