"""The pictures that a retrieval network learns from: crops of a detection data set, and its class images.

Shapes: R random boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

import torch
from PIL import Image
from torch import Tensor

from os2d.data.dataset import DatasetOneShotDetection
from os2d.structures.sizes import Size

SMALLEST_CROP_PX = 10.0
"""Random crops whose shorter side would be smaller at the data set's scale are dropped."""

NO_CLASS = -1

RandomBoxes = Callable[[int], Tensor]
"""Count -> so many rows of four numbers in [0, 1), R x 4."""


class Kind(Enum):
    """What a picture shows: its mark in the file name, and its name in the database."""

    OBJECT = ("GT", "gtproposal")
    RANDOM = ("RN", "randomcrop")
    CLASS = ("CL", "classimage")

    @property
    def mark(self) -> str:
        """End of the file name."""
        return self.value[0]

    @property
    def type(self) -> str:
        """Entry ``type`` of the database."""
        return self.value[1]


Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Crop:
    """One picture.

    Args:
        kind: of the picture.
        class_id: what it shows; -1 for a random crop.
        box_xyxy: in pixels of the loaded image; for a class image the whole of it.
        image_id: where it is cut out; None for a class image.
        number: among the crops of its image; None for a class image.
        difficult: the annotation's mark; None for a class image.
    """

    kind: Kind
    class_id: int
    box_xyxy: Box
    image_id: int | None = None
    number: int | None = None
    difficult: bool | None = None

    @property
    def id(self) -> str:
        """Name of the picture, and of its file."""
        if self.kind is Kind.CLASS:
            return f"lbl{self.class_id:05d}{self.kind.mark}"
        return (
            f"box{self.number:05d}_lbl{self.class_id:05d}_dif{int(bool(self.difficult))}_im{self.image_id:05d}"
            f"{self.kind.mark}"
        )

    @property
    def pixels(self) -> tuple[int, int, int, int]:
        """What to cut out: the box rounded as Pillow does it, at least one pixel wide and high."""
        left, top, right, bottom = (round(corner) for corner in self.box_xyxy)
        return left, top, max(right, left + 1), max(bottom, top + 1)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        left, top, right, bottom = self.pixels
        return right - left, bottom - top

    def cut(self, image: Image.Image) -> Image.Image:
        """Return the part of a loaded image."""
        return image.crop(self.pixels)


def path_of(crop_id: str) -> str:
    """Return the file of a picture below its folder: the ends of the name spread files over folders."""
    return f"{crop_id[-2:]}/{crop_id[-4:-2]}/{crop_id[-6:-4]}/{crop_id}"


def crops_of(dataset: DatasetOneShotDetection, scale: float, random_crops: int, rand: RandomBoxes) -> Iterator[Crop]:
    """Yield image by image every annotated box, difficult ones included, and then the random crops that are kept.

    Args:
        dataset: the detection data set.
        scale: image size at which its objects are seen; decides how small a random crop may be.
        random_crops: drawn per image.
        rand: source of the random boxes.
    """
    for image_id in dataset.image_ids:
        boxes, size = dataset.boxes(image_id), dataset.size_of_image(image_id)
        columns = boxes.boxes_xyxy.tolist(), boxes.field("labels").tolist(), boxes.field("difficult").tolist()
        for number, (box, class_id, difficult) in enumerate(zip(*columns, strict=True)):
            yield Crop(Kind.OBJECT, class_id, tuple(box), image_id, number, bool(difficult))
        if random_crops:
            drawn = random_boxes(rand(random_crops), size, scale).tolist()
            for number, box in enumerate(drawn, start=len(boxes)):
                yield Crop(Kind.RANDOM, NO_CLASS, tuple(box), image_id, number, False)


def random_boxes(drawn_R4: Tensor, size: Size, scale: float) -> Tensor:
    """Return whole-numbered boxes made of numbers in [0, 1), without those that are too small."""
    x_R2, y_R2 = (drawn_R4[:, [k, k + 2]].sort(dim=1).values * side for k, side in enumerate(size))
    boxes_R4 = torch.stack([x_R2[:, 0], y_R2[:, 0], x_R2[:, 1], y_R2[:, 1]], dim=1).floor()
    smallest = SMALLEST_CROP_PX / scale * max(size)
    is_large_R = (boxes_R4[:, :2] + smallest <= boxes_R4[:, 2:]).all(dim=1)
    return boxes_R4[is_large_R]


def class_crops(dataset: DatasetOneShotDetection) -> Iterator[Crop]:
    """Yield the class images in rising order of their classes; none where the data set has no class images."""
    for class_id in dataset.class_ids if dataset.has_class_images else ():
        width, height = dataset.class_image(class_id).size
        yield Crop(Kind.CLASS, class_id, (0, 0, width, height))
