"""``POST /detect-all-instances``, as the published demo has it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from PIL.Image import Resampling

from os2d.serve.bodies import JSON, read_json
from os2d.serve.parsed_request import RequestedClasses, SentPicture
from os2d.serve.refusal import RefusedError
from os2d.serve.routes.shared import READING, WITH_KEY, WORKING, Served, errors, own_classes
from os2d.serve.schemas import AllInstances, AllInstancesRequest
from os2d.serve.service import Service
from os2d.serve.work import Search
from os2d.structures.sizes import Size, scaled_to_area

router = APIRouter(tags=["as published"])

THRESHOLD = 0.45
MOST = 30
BODY = {"required": True, "content": {JSON: {"schema": {"$ref": "#/components/schemas/AllInstancesRequest"}}}}


@router.post(
    "/detect-all-instances",
    dependencies=WITH_KEY,
    responses=errors(*READING, *WORKING),
    openapi_extra={"requestBody": BODY},
)
async def detect_all_instances(request: Request, service: Served) -> AllInstances:
    """Return where one class, of which the query has views, is in an image: at most 30 boxes, the best one last."""
    async with service.pending() as computing:
        if computing.detector.class_names is not None:
            raise own_classes("query")
        requested = await read_json(request, AllInstancesRequest)
        if len(requested.query) > service.settings.max_class_images:
            raise RefusedError(
                "invalid_value", f"expected at most {service.settings.max_class_images} pictures", "query"
            )
        views = [SentPicture(picture.content, f"query.{k}.content") for k, picture in enumerate(requested.query)]
        image = SentPicture(requested.image.content, "image.content")
        search = await service.in_thread(lambda: _search(image, RequestedClasses({"0": views}), service))
        done = await service.compute(search, request)
    w, h = search.image.size
    found = list(reversed(done.result))
    return AllInstances(
        scores=[detection.score for detection in found],
        bboxes=[[x1 / w, y1 / h, x2 / w, y2 / h] for x1, y1, x2, y2 in (each.box_xyxy for each in found)],
    )


def _search(image: SentPicture, views: RequestedClasses, service: Service) -> Search:
    """Return the search in an image of the published size, resized by the published filter."""
    picture = image.decode(service.limits)
    size = scaled_to_area(Size.of_image(picture), service.settings.published_route_px)
    resized = picture.resize(size, Resampling.BICUBIC)
    return Search(resized, views.decode(service.limits), [], THRESHOLD, MOST, scales=(max(resized.size),))
