"""Images at every scale of the pyramid and at their loaded size, as bytes.

Shapes: b images of one size, 3 colour channels, h x w pixels of a pyramid level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from yacs.config import CfgNode

from os2d.data.batch_loader import BatchLoader
from os2d.data.dataset import DatasetOneShotDetection
from os2d.data.images import resize
from os2d.data.normalisation import to_bytes
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size


@dataclass(frozen=True, eq=False)
class JointBatch:
    """Images of one size.

    Args:
        image_ids: b ids.
        images: as loaded, (b, 3, h, w) uint8; boxes and results refer to their size.
        levels: per scale, (b, 3, h, w) uint8.
        boxes: per image, fields ``labels`` (class ids) and ``difficult``.
    """

    image_ids: list[int]
    images: Tensor
    levels: list[Tensor]
    boxes: list[BoxList]

    def pin_memory(self) -> JointBatch:
        """Return the batch with its images in page-locked memory."""
        levels = [level.pin_memory() for level in self.levels]
        return JointBatch(self.image_ids, self.images.pin_memory(), levels, self.boxes)


class JointImages:
    """Batch number -> :class:`JointBatch`; sizes of the levels are those of OS2D's evaluation."""

    def __init__(self, dataset: DatasetOneShotDetection, config: CfgNode, dataset_scale: float) -> None:
        self.dataset = dataset
        self.scales = [s * dataset.scale_of(dataset_scale) for s in config.eval.scales_of_image_pyramid]
        size = config.eval.batch_size
        self._batches = [
            ids[k : k + size] for ids in dataset.split_images_into_buckets_by_size() for k in range(0, len(ids), size)
        ]

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> JointBatch:
        image_ids = self._batches[number]
        images = [self.dataset.load_image(image_id) for image_id in image_ids]
        sizes = [Size.of_image(images[0]).scaled(scale) for scale in self.scales]
        levels = [torch.stack([to_bytes(resize(image, size)) for image in images]) for size in sizes]
        boxes = [self.dataset.boxes(image_id) for image_id in image_ids]
        return JointBatch(image_ids, torch.stack([to_bytes(image) for image in images]), levels, boxes)


def build_joint_loader(
    dataset: DatasetOneShotDetection,
    config: CfgNode,
    dataset_scale: float,
    share: Callable[[Sequence[int]], Sequence[int]] = list,
) -> BatchLoader[JointBatch]:
    """Return the images of a data set in batches; ``share`` picks the numbers of those that this process works on."""
    dataset.preload()
    images = JointImages(dataset, config, dataset_scale)
    numbers = share(range(len(images)))
    return BatchLoader(images, numbers, config.runtime.num_workers, pin_memory=config.is_cuda, prefetch=1)


def pixels_of(image: Image.Image) -> Tensor:
    """Return an RGB picture as numbers of 0 to 1, (3, h, w)."""
    return to_pixels(to_bytes(image))


def to_pixels(bytes_of_image: Tensor) -> Tensor:
    """Return bytes as numbers of 0 to 1, of the same shape."""
    return bytes_of_image.float() / 255
