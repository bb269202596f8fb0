"""What a request asks for, whether it came as JSON or as a form; its pictures are not decoded yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL.Image import Image
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from os2d.serve.bodies import (
    FORM,
    JSON,
    files_of,
    media_type,
    read_form,
    read_json,
    read_texts,
    stem_of,
    texts_of,
    unsupported,
)
from os2d.serve.pictures import PictureLimits, decode_base64, decode_picture
from os2d.serve.refusal import RefusedError
from os2d.serve.registered_classes import check_class_name
from os2d.serve.schemas import ClassRequest, DetectionOptions, DetectionRequest, NamedClass, Picture
from os2d.serve.settings import ServeSettings

DETECTION_FIELDS = ("image", "class_image", "class_name", "class", "threshold", "max_detections")
CLASS_FIELDS = ("name", "images")


@dataclass(frozen=True)
class SentPicture:
    """A picture in a request: the bytes of its file, or these in base64, and the field they were in."""

    content: bytes | str
    field: str

    def decode(self, limits: PictureLimits) -> Image:
        """Return it as RGB."""
        data = decode_base64(self.content, self.field) if isinstance(self.content, str) else self.content
        return decode_picture(data, limits, self.field)


@dataclass(frozen=True)
class RequestedClasses:
    """Classes with their pictures."""

    pictures: Mapping[str, Sequence[SentPicture]]

    def __len__(self) -> int:
        return sum(len(pictures) for pictures in self.pictures.values())

    def decode(self, limits: PictureLimits) -> dict[str, list[Image]]:
        """Return their pictures as RGB."""
        return {name: [picture.decode(limits) for picture in sent] for name, sent in self.pictures.items()}


@dataclass(frozen=True)
class RequestedDetection:
    """An image and what to look for in it: classes with pictures, and names of registered ones."""

    image: SentPicture
    classes: RequestedClasses
    names: Sequence[str]
    options: DetectionOptions


async def read_detection(request: Request, settings: ServeSettings) -> RequestedDetection:
    """Return what a request for detections asks for.

    Raises:
        RefusedError: it is malformed, or asks for too much.
    """
    if media_type(request) == JSON:
        requested = _detection_of_json(await read_json(request, DetectionRequest))
    elif media_type(request) == FORM:
        async with read_form(request, DETECTION_FIELDS, settings.max_class_images + 1) as form:
            requested = await _detection_of_form(form)
    else:
        raise unsupported(request, FORM, JSON)
    _check_number(requested.classes, settings, "classes")
    if (requested.options.max_detections or 0) > settings.max_detections:
        raise RefusedError("invalid_value", f"expected at most {settings.max_detections}", "max_detections")
    return requested


async def read_class(request: Request, settings: ServeSettings) -> RequestedClasses:
    """Return the class, with one name, that a request asks to register; raise as :func:`read_detection` does."""
    if media_type(request) == JSON:
        body = await read_json(request, ClassRequest)
        pictures = _sent(body.images, "images")
        name = body.name
    elif media_type(request) == FORM:
        async with read_form(request, CLASS_FIELDS, settings.max_class_images) as form:
            name = _single(form, "name") or ""
            pictures = [SentPicture(await file.read(), "images") for file in _some_files(form, "images")]
    else:
        raise unsupported(request, FORM, JSON)
    requested = RequestedClasses({check_class_name(name, "name"): pictures})
    _check_number(requested, settings, "images")
    return requested


def _detection_of_json(body: DetectionRequest) -> RequestedDetection:
    pictures: dict[str, list[SentPicture]] = {}
    names: list[str] = []
    for k, requested in enumerate(body.classes):
        name = check_class_name(requested.name, f"classes.{k}.name")
        if requested.images is None:
            names.append(name)
        else:
            pictures.setdefault(name, []).extend(_sent(_not_empty(requested, k), f"classes.{k}.images"))
    return RequestedDetection(SentPicture(body.image.content, "image.content"), RequestedClasses(pictures), names, body)


async def _detection_of_form(form: FormData) -> RequestedDetection:
    images = _some_files(form, "image")
    if len(images) > 1:
        raise RefusedError("invalid_value", "expected one image", "image")
    files, names = files_of(form, "class_image"), texts_of(form, "class_name")
    if names and len(names) != len(files):
        raise RefusedError("invalid_value", f"expected a name for each of {len(files)} class images", "class_name")
    pictures: dict[str, list[SentPicture]] = {}
    for file, name in zip(files, names or [stem_of(file) for file in files], strict=True):
        sent = SentPicture(await file.read(), "class_image")
        pictures.setdefault(check_class_name(name, "class_name" if names else "class_image"), []).append(sent)
    given = {name: text for name in ("threshold", "max_detections") if (text := _single(form, name))}
    registered = [check_class_name(name, "class") for name in texts_of(form, "class")]
    image = SentPicture(await images[0].read(), "image")
    return RequestedDetection(image, RequestedClasses(pictures), registered, read_texts(DetectionOptions, given))


def _sent(pictures: Sequence[Picture], field: str) -> list[SentPicture]:
    return [SentPicture(picture.content, f"{field}.{k}.content") for k, picture in enumerate(pictures)]


def _not_empty(requested: NamedClass, k: int) -> list[Picture]:
    if not requested.images:
        message = "expected at least one picture; leave images out for a registered class"
        raise RefusedError("invalid_value", message, f"classes.{k}.images")
    return requested.images


def _some_files(form: FormData, field: str) -> list[UploadFile]:
    files = files_of(form, field)
    if not files:
        raise RefusedError("invalid_value", "expected a file", field)
    return files


def _single(form: FormData, field: str) -> str | None:
    texts = texts_of(form, field)
    if len(texts) > 1:
        raise RefusedError("invalid_value", "expected one value", field)
    return texts[0] if texts else None


def _check_number(requested: RequestedClasses, settings: ServeSettings, field: str) -> None:
    if len(requested) > settings.max_class_images:
        raise RefusedError("invalid_value", f"expected at most {settings.max_class_images} class images", field)
