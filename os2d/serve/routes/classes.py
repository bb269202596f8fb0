"""``/v1/classes``: classes that are learned once and then asked for by name."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request

from os2d.serve.bodies import FORM, JSON
from os2d.serve.parsed_request import read_class
from os2d.serve.registered_classes import LONGEST_NAME, RegisteredClass
from os2d.serve.routes.shared import READING, WITH_KEY, WORKING, Served, errors, own_classes
from os2d.serve.schemas import RegisteredName, RegisteredNames
from os2d.serve.work import Learning

router = APIRouter(prefix="/v1/classes", tags=["classes"], dependencies=WITH_KEY)

FORM_SCHEMA = {
    "type": "object",
    "required": ["name", "images"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME},
        "images": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}},
    },
}
BODY = {
    "required": True,
    "content": {
        FORM: {"schema": FORM_SCHEMA},
        JSON: {"schema": {"$ref": "#/components/schemas/ClassRequest"}},
    },
}


@router.post(
    "",
    status_code=201,
    responses=errors(*READING, *WORKING, "class_exists"),
    openapi_extra={"requestBody": BODY},
)
async def register(request: Request, service: Served) -> RegisteredName:
    """Learn a class from pictures of it, and keep its features under a name."""
    async with service.pending() as computing:
        if computing.detector.class_names is not None:
            raise own_classes("images")
        requested = await read_class(request, service.settings)
        (name,) = requested.pictures
        service.classes.check_new(name)
        class_images = await service.in_thread(partial(requested.decode, service.limits))
        done = await service.compute(Learning(class_images), request)
        service.classes.add(name, RegisteredClass(done.result, len(requested)))
    return RegisteredName(name=name, images=len(requested))


@router.get("", responses=errors())
async def registered(service: Served) -> RegisteredNames:
    """Return the names of all registered classes, the least recently used one first."""
    sizes = service.classes.sizes().items()
    classes = [RegisteredName(name=name, images=images) for name, images in sizes]
    return RegisteredNames(classes=classes, capacity=service.classes.capacity)


@router.delete("/{name}", status_code=204, responses=errors("unknown_class"))
async def forget(name: str, service: Served) -> None:
    """Forget a class."""
    service.classes.remove(name)
