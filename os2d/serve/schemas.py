"""The JSON that goes in and comes out."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from os2d.detector import Detection
from os2d.serve.registered_classes import LONGEST_NAME

ONE_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAFklEQVR4nGNsaGhgIAUwkaR6VMOQ0gAAQ/YBoVy5C9cAAAAASUVORK5CYII="
)
"""A picture for the examples."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
Threshold = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]


class Received(BaseModel):
    """JSON from a client: exactly these fields, exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Picture(Received):
    """A JPEG, PNG or WebP file."""

    content: str = Field(description="the file in base64", examples=[ONE_PIXEL])


class NamedClass(Received):
    """A class to look for: with pictures of it, or one that was registered."""

    name: Name
    images: list[Picture] | None = Field(None, description="views of the class; none: the name is a registered one")


class DetectionOptions(Received):
    """What is told of what is found."""

    threshold: Threshold | None = Field(None, description="detections have a higher score; none: the network's own")
    max_detections: int | None = Field(None, ge=1, description="the best ones; none: 100, or what the server allows")


class DetectionRequest(DetectionOptions):
    """An image and what to look for in it."""

    image: Picture
    classes: list[NamedClass] = Field(default=[], description="empty only for a network with classes of its own")


class ClassRequest(Received):
    """A class to register."""

    name: Name
    images: list[Picture] = Field(min_length=1)


class AllInstancesPicture(BaseModel):
    """A picture, as the published demo wants it."""

    content: str = Field(examples=[ONE_PIXEL])


class AllInstancesRequest(BaseModel):
    """The request of the published demo; other fields are ignored, as there."""

    image: AllInstancesPicture
    query: list[AllInstancesPicture] = Field(min_length=1, description="views of one class")


class AllInstances(BaseModel):
    """The answer of the published demo."""

    scores: list[float] = Field(description="increasing")
    bboxes: list[list[float]] = Field(description="left, top, right, bottom, relative to the size of the image")


class ImageSize(BaseModel):
    """The size of the image, upright."""

    width: int
    height: int


class ModelName(BaseModel):
    """Which network has answered."""

    name: str
    weights: str


class FoundObject(BaseModel):
    """A detection."""

    class_name: str = Field(serialization_alias="class")
    score: float
    box: list[float] = Field(description="left, top, right, bottom in pixels of the image")
    corners: list[list[float]] | None = Field(description="x and y of the aligned class image's corners, going around")

    @staticmethod
    def from_detection(found: Detection) -> FoundObject:
        """Return what is told of a detection."""
        corners = None if found.corners is None else [list(point) for point in found.corners]
        return FoundObject(class_name=found.label, score=found.score, box=list(found.box_xyxy), corners=corners)


class Seconds(BaseModel):
    """Where the time went."""

    queued: float
    computed: float


class Detections(BaseModel):
    """What was found, best first."""

    image: ImageSize
    model: ModelName
    detections: list[FoundObject]
    seconds: Seconds


class RegisteredName(BaseModel):
    """A registered class."""

    name: str
    images: int = Field(description="number of its pictures")


class RegisteredNames(BaseModel):
    """All registered classes; the least recently used ones are forgotten when there are too many pictures."""

    classes: list[RegisteredName]
    capacity: int = Field(description="class images whose features are kept")


class Limits(BaseModel):
    """The largest request."""

    body_bytes: int
    image_pixels: int
    image_side_px: int
    class_images: int
    detections: int
    seconds: float


class ModelDescription(ModelName):
    """The network and what may be asked of it."""

    class_names: list[str] | None = Field(description="what it was trained to find; null: it wants class images")
    default_threshold: float
    limits: Limits


class Status(BaseModel):
    """How the server is."""

    status: str


class ErrorDescription(BaseModel):
    """What was wrong."""

    code: str
    message: str
    field: str | None


class ErrorAnswer(BaseModel):
    """The answer to every request that is refused."""

    error: ErrorDescription


def json_schemas(*models: type[BaseModel]) -> dict[str, Any]:
    """Return name -> schema of models and of those in them, for the components of an OpenAPI description."""
    schemas: dict[str, Any] = {}
    for model in models:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    return schemas
