"""Which number the network gives to which class of a data set.

Shapes: N boxes, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from os2d.data.dataset import DatasetOneShotDetection
from os2d.errors import DataError
from os2d.structures.boxes import BoxList

ANY_OBJECT = 1
"""The number of every object where all are one class; 0 is the background."""


@dataclass(frozen=True)
class ObjectClasses:
    """The classes a detector tells apart, by their ids in the training set; None: all objects are one class."""

    class_ids: tuple[int, ...] | None

    @staticmethod
    def of(num_classes: int, training_set: DatasetOneShotDetection) -> ObjectClasses:
        """Return what ``MODEL.ROI_BOX_HEAD.NUM_CLASSES`` asks for; 0: all objects are one class."""
        if num_classes == 0:
            return ObjectClasses(None)
        class_ids = tuple(training_set.get_class_ids().tolist())
        if num_classes > 0 and num_classes != len(class_ids) + 1:
            raise DataError(
                f"MODEL.ROI_BOX_HEAD.NUM_CLASSES: {num_classes} with the background, but data set "
                f"{training_set.name!r} has {len(class_ids)} classes; -1 takes as many as there are"
            )
        return ObjectClasses(class_ids)

    @property
    def count(self) -> int:
        """How many classes the network has, with the background."""
        return 2 if self.class_ids is None else len(self.class_ids) + 1

    def numbers(self, boxes: BoxList, where: str) -> Tensor:
        """Return the network's numbers (N,) of the labels of boxes.

        Args:
            boxes: with the class ids in the field ``labels``.
            where: names the boxes in the message about a class that the training set does not have.

        Raises:
            DataError: there is such a class.
        """
        labels_N = boxes.field("labels")
        if self.class_ids is None:
            return torch.full_like(labels_N, ANY_OBJECT)
        matches_NC = labels_N[:, None] == torch.tensor(self.class_ids, dtype=labels_N.dtype)
        unseen = labels_N[~matches_NC.any(dim=1)]
        if len(unseen):
            raise DataError(
                f"{where}: class {int(unseen[0])} is not in the training set, so the detector has no number for it; "
                "evaluate on a data set of the trained classes, or set MODEL.ROI_BOX_HEAD.NUM_CLASSES 0"
            )
        return matches_NC.int().argmax(dim=1) + 1
