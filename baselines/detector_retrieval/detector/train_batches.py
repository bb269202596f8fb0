"""Training batches as a pure function of their number, so that a resumed training sees what it would have seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Generator, Tensor
from yacs.config import CfgNode

from baselines.detector_retrieval.detector.classes import ObjectClasses
from baselines.detector_retrieval.detector.config import is_cuda
from baselines.detector_retrieval.detector.images import pixels_of, resized_size
from baselines.detector_retrieval.detector.structures import Objects
from baselines.legacy_boxes import mirrored
from os2d.data.batch_loader import BatchLoader
from os2d.data.dataset import DatasetOneShotDetection
from os2d.data.images import resize
from os2d.errors import DataError
from os2d.randomness import numbered_generator
from os2d.structures.sizes import Size

_SHUFFLE, _AUGMENT = 0, 1  # streams of random numbers


@dataclass(frozen=True, eq=False)
class TrainBatch:
    """What one training step needs.

    Args:
        images_hw3: RGB bytes of every image, resized.
        objects: of every image.
        image_ids: of every image.
    """

    images_hw3: list[Tensor]
    objects: list[Objects]
    image_ids: list[int]

    def pin_memory(self) -> TrainBatch:
        """Return the batch with its images in page-locked memory."""
        return replace(self, images_hw3=[image.pin_memory() for image in self.images_hw3])

    def to(self, device: torch.device) -> tuple[list[Tensor], list[Objects]]:
        """Return the images as numbers of 0 to 1, (3, h, w), and the objects, on a device."""
        images = [pixels_of(image.to(device, non_blocking=True)) for image in self.images_hw3]
        return images, [Objects(*(t.to(device, non_blocking=True) for t in of_image)) for of_image in self.objects]


class TrainBatches:
    """Number -> :class:`TrainBatch`; a batch holds only landscape or only portrait images, if these are grouped.

    Args:
        dataset: every image has a box.
        classes: what the labels become.
        config: the whole tree.
        seed: of every random choice.
        batch_size: images of a batch; the last ones of an epoch may have fewer.
    """

    def __init__(
        self, dataset: DatasetOneShotDetection, classes: ObjectClasses, config: CfgNode, seed: int, batch_size: int
    ) -> None:
        self.dataset, self.classes, self.seed, self.batch_size = dataset, classes, seed, batch_size
        self.inputs = config.INPUT
        self.image_ids = np.array(dataset.image_ids)
        _check_boxes(dataset)
        sizes = [dataset.size_of_image(i) for i in dataset.image_ids]
        is_tall = np.array([size.h >= size.w for size in sizes])
        self.groups = [is_tall, ~is_tall] if config.DATALOADER.ASPECT_RATIO_GROUPING else [np.ones_like(is_tall)]
        self.batches_per_epoch = sum(-(-int(group.sum()) // batch_size) for group in self.groups)

    def image_ids_of(self, number: int) -> list[int]:
        """Return the images of a batch; every epoch shuffles them anew, then deals each group in its order."""
        epoch, place = divmod(number, self.batches_per_epoch)
        generator = numbered_generator(self.seed, _SHUFFLE, epoch)
        order = torch.randperm(len(self.image_ids), generator=generator).numpy()
        dealt = [order[group[order]] for group in self.groups]
        batches = [d[start : start + self.batch_size] for d in dealt for start in range(0, len(d), self.batch_size)]
        first_place = np.argsort(order)
        batches.sort(key=lambda positions: first_place[positions[0]])
        image_ids: list[int] = self.image_ids[batches[place]].tolist()
        return image_ids

    def __getitem__(self, number: int) -> TrainBatch:
        generator = numbered_generator(self.seed, _AUGMENT, number)
        image_ids = self.image_ids_of(number)
        seen = [self._augmented(image_id, generator) for image_id in image_ids]
        return TrainBatch([image for image, _ in seen], [objects for _, objects in seen], image_ids)

    def _augmented(self, image_id: int, generator: Generator) -> tuple[Tensor, Objects]:
        """Return an image at a random size, perhaps mirrored, and its objects; difficult ones are objects too."""
        choice = int(torch.randint(len(self.inputs.MIN_SIZE_TRAIN), (), generator=generator))
        is_mirrored = float(torch.rand((), generator=generator)) < self.inputs.HORIZONTAL_FLIP_PROB_TRAIN
        picture, boxes = self.dataset.load_image(image_id), self.dataset.boxes(image_id)
        size = resized_size(Size.of_image(picture), self.inputs.MIN_SIZE_TRAIN[choice], self.inputs.MAX_SIZE_TRAIN)
        image_hw3, boxes_N4 = torch.from_numpy(np.array(resize(picture, size))), boxes.resized(size).boxes_xyxy
        if is_mirrored:
            image_hw3, boxes_N4 = image_hw3.flip(1), mirrored(boxes_N4, size.w)
        numbers = self.classes.numbers(boxes, f"data set {self.dataset.name!r}, image {image_id}")
        return image_hw3, Objects(boxes_N4, numbers)


def build_train_loader(batches: TrainBatches, numbers: Sequence[int], config: CfgNode) -> BatchLoader[TrainBatch]:
    """Return the batches of these numbers, prepared ahead."""
    batches.dataset.preload()
    on_gpu = is_cuda(config)
    return BatchLoader(batches, numbers, config.DATALOADER.NUM_WORKERS, pin_memory=on_gpu, prefetch=2)


def _check_boxes(dataset: DatasetOneShotDetection) -> None:
    """Refuse images without boxes: the losses are of anchors that have an object to be compared with."""
    empty = [image_id for image_id in dataset.image_ids if not len(dataset.boxes(image_id))]
    if empty:
        raise DataError(
            f"data set {dataset.name!r}: expected a box in every training image, image {empty[0]} "
            f"({dataset.image_path(empty[0])}) and {len(empty) - 1} more have none; leave these images out"
        )
    if not len(dataset):
        raise DataError(f"data set {dataset.name!r}: has no image to train on")
