"""What CoAE needs of a data set: images at their size on disk, boxes in whole pixels, classes by number.

Legend: N boxes of an image, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from os2d.data.dataset import DatasetOneShotDetection
from os2d.data.images import read_image, read_image_size
from os2d.data.table import BoxColumns
from os2d.errors import DataError
from os2d.structures.sizes import Size


@dataclass(frozen=True, eq=False)
class ImageRecord:
    """One image and its boxes.

    Args:
        image_id: in the data set.
        size: on disk.
        boxes_N4: ``x1, y1, x2, y2`` in pixels of the image on disk, cut off to whole numbers, int32.
        classes_N: numbers of the classes, from 1.
        difficult_N: whether evaluation passes over the box.
        mirrored: left and right are exchanged, in the boxes already.
    """

    image_id: int
    size: Size
    boxes_N4: NDArray[np.int32]
    classes_N: NDArray[np.int64]
    difficult_N: NDArray[np.bool_]
    mirrored: bool = False

    def mirror(self) -> ImageRecord:
        """Return the mirrored image."""
        x1, y1, x2, y2 = self.boxes_N4.T
        boxes_N4 = np.stack([self.size.w - x2 - 1, y1, self.size.w - x1 - 1, y2], axis=1)
        return ImageRecord(self.image_id, self.size, boxes_N4, self.classes_N, self.difficult_N, not self.mirrored)


class Records:
    """The images of a data set, in its order; ``class_ids`` are in the order of their first appearance, number 1 first.

    Raises:
        DataError: an image cannot be read, or there are no class images.
    """

    def __init__(self, dataset: DatasetOneShotDetection) -> None:
        self.dataset = dataset
        self.class_ids: list[int] = dataset.get_class_ids().tolist()
        if not dataset.has_class_images:
            raise DataError(f"data set {dataset.name!r} has no class images, which one-shot detection needs")
        numbers = {class_id: number for number, class_id in enumerate(self.class_ids, start=1)}
        columns = BoxColumns.of(dataset.gtboxframe)
        self.images = [self._record(image_id, columns, numbers) for image_id in dataset.image_ids]

    def _record(self, image_id: int, columns: BoxColumns, numbers: dict[int, int]) -> ImageRecord:
        size, rows = read_image_size(self.dataset.image_path(image_id)), columns.of_image(image_id)
        pixels = columns.relative_xyxy[rows] * np.array([size.w, size.h, size.w, size.h])
        classes = [numbers[class_id] for class_id in columns.class_ids[rows].tolist()]
        return ImageRecord(
            image_id,
            size,
            pixels.astype(np.int32),
            np.array(classes, dtype=np.int64),
            columns.difficult[rows],
        )

    def image(self, record: ImageRecord) -> Image.Image:
        """Return an image as it is on disk, mirrored where the record is."""
        image = read_image(self.dataset.image_path(record.image_id))
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if record.mirrored else image

    def class_image(self, number: int) -> Image.Image:
        """Return the picture of a class, by its number."""
        return self.dataset.class_image(self.class_ids[number - 1])

    def training_images(self, *, with_mirrored: bool) -> list[ImageRecord]:
        """Return the images that have a box, followed by mirrored copies if they are wanted.

        Raises:
            DataError: there is none.
        """
        images = [record for record in self.images if len(record.boxes_N4)]
        if not images:
            raise DataError(f"data set {self.dataset.name!r} has no boxes to train on")
        return images + [record.mirror() for record in images] * with_mirrored


def class_probabilities(images: list[ImageRecord], num_classes: int) -> NDArray[np.float64]:
    """Return for every class, K, one over the number of its boxes, as shares of 1: rare classes are asked for more."""
    counts = np.bincount(np.concatenate([record.classes_N for record in images]), minlength=num_classes + 1)[1:]
    inverse = np.divide(1.0, counts, out=np.zeros(num_classes), where=counts > 0)
    shares: NDArray[np.float64] = inverse / inverse.sum()
    return shares
