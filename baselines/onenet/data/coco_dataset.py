"""A data set in COCO's format, as arrays.

Light on purpose (no torch): planners read it to know its files.

Shapes: I images, N annotations of the whole data set, grouped by image.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from baselines.onenet.data.catalog import DatasetSource
from os2d.errors import DataError
from os2d.structures.sizes import Size


@dataclass(frozen=True, eq=False)
class CocoDataset:
    """Images by ascending id; the annotations of each in the order of the file.

    Arrays instead of an object per box: processes that load images share them without copying.

    Args:
        source: the files.
        category_ids: of the classes, ascending; the position is the class that the network knows.
        class_names: of the same.
        image_ids: (I).
        file_names: (I), relative to the folder of images.
        sizes: (I), of the upright images.
        annotation_ids_N: int64.
        classes_N: int64, positions in ``category_ids``.
        boxes_xywh_N4: float64, in pixels, not clipped to the image.
        areas_N: float64; of the outline where there is one, which decides between small, medium and large.
        is_crowd_N: regions instead of single objects.
        first_I1: number of the first annotation of every image, and N.
    """

    source: DatasetSource
    category_ids: list[int]
    class_names: list[str]
    image_ids: list[int]
    file_names: list[str]
    sizes: list[Size]
    annotation_ids_N: npt.NDArray[np.int64]
    classes_N: npt.NDArray[np.int64]
    boxes_xywh_N4: npt.NDArray[np.float64]
    areas_N: npt.NDArray[np.float64]
    is_crowd_N: npt.NDArray[np.bool_]
    first_I1: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.image_ids)

    def annotations_of(self, index: int) -> slice:
        """Return where the annotations of the image at a position are."""
        return slice(int(self.first_I1[index]), int(self.first_I1[index + 1]))

    def image_path(self, index: int) -> Path:
        """Return the file of the image at a position."""
        return self.source.images / self.file_names[index]

    def named_by(self, index: int) -> str:
        """Return which entry of the annotation file names an image, for messages."""
        ids = self.annotation_ids_N[self.annotations_of(index)]
        whose = f", of annotations {_listed(ids)}" if len(ids) else ""
        return f"{self.source.annotations}, image {self.image_ids[index]}{whose}"

    def with_objects(self) -> npt.NDArray[np.bool_]:
        """Return which images show at least one single object, (I)."""
        objects_before = np.concatenate([[0], np.cumsum(~self.is_crowd_N)])
        return np.diff(objects_before[self.first_I1]) > 0

    def check_has_objects(self) -> None:
        """Refuse a data set from which nothing can be learnt and by which nothing can be measured.

        Raises:
            DataError: it has no annotation, or only crowd regions.
        """
        file = self.source.annotations
        if not len(self.annotation_ids_N):
            raise DataError(
                f"{file}: has {len(self)} images and no annotation; expected entries in 'annotations' with image_id, "
                "category_id and bbox"
            )
        if self.is_crowd_N.all():
            raise DataError(
                f"{file}: every annotation ({_listed(self.annotation_ids_N)}) marks a crowd (iscrowd 1), which is "
                "neither learnt nor counted; expected at least one with iscrowd 0"
            )

    def check_images_exist(self) -> None:
        """Refuse a data set with missing files before hours of work; folders are listed, no image is opened.

        Raises:
            DataError: a folder or an image is missing.
        """
        folder = self.source.images
        if not folder.is_dir():
            raise DataError(
                f"{folder}: no such folder; expected the images of {self.source.annotations}. DATASETS.ROOT, "
                "DATASETS.REGISTERED or FILE.json:FOLDER in DATASETS tells where they are"
            )
        wanted = {(folder / name).parent for name in self.file_names}
        present = {file for place in wanted if place.is_dir() for file in place.iterdir()}
        for index in range(len(self)):
            path = self.image_path(index)
            if path not in present:
                raise DataError(f"{path}: no such image file (named by {self.named_by(index)})")


def _listed(ids: npt.NDArray[np.int64], shown: int = 5) -> str:
    return ", ".join(map(str, ids[:shown].tolist())) + (", ..." if len(ids) > shown else "")
