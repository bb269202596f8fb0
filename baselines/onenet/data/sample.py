"""One image as the network wants it, with what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image, ImageOps
from torch import Generator, Tensor
from yacs.config import CfgNode

from baselines.onenet.data.augment import Resize, Step, draw_steps, transform_boxes, transform_image
from baselines.onenet.data.coco_dataset import CocoDataset
from baselines.onenet.data.resize import shortest_edge_size
from baselines.onenet.structures import Targets
from os2d.data.images import read_image
from os2d.data.normalisation import to_bytes
from os2d.errors import DataError
from os2d.structures.sizes import Size


@dataclass(frozen=True, eq=False)
class Sample:
    """An image, what it shows, and where it came from.

    Args:
        image: uint8, (3, h, w), RGB.
        targets: the objects, in pixels of ``image``; none in a test image.
        height: of the original image, for which detections are wanted.
        width: of the same.
        image_id: of the annotation file.
    """

    image: Tensor
    targets: Targets
    height: int
    width: int
    image_id: int

    def pin_memory(self) -> Sample:
        """Return the sample in page-locked memory."""
        targets = Targets(self.targets.classes_N.pin_memory(), self.targets.boxes_N4.pin_memory())
        return replace(self, image=self.image.pin_memory(), targets=targets)


def training_sample(dataset: CocoDataset, index: int, config: CfgNode, generator: Generator) -> Sample:
    """Return the image at a position, changed at random as ``INPUT`` wants, with the objects still in it.

    Raises:
        DataError: the image cannot be used.
    """
    return changed_sample(dataset, index, draw_steps(dataset.sizes[index], config, generator))


def changed_sample(dataset: CocoDataset, index: int, steps: Sequence[Step]) -> Sample:
    """Return the image at a position after the steps, with the objects still in it.

    Crowds are no objects: nothing is learnt from them.

    Raises:
        DataError: the image cannot be used.
    """
    image, size = upright_image(dataset, index), dataset.sizes[index]
    boxes_N4, classes_N = _objects(dataset, index)
    boxes_N4, is_left_N = transform_boxes(boxes_N4, size, steps)
    targets = Targets(classes_N[is_left_N], boxes_N4[is_left_N])
    return Sample(to_bytes(transform_image(image, steps)), targets, size.h, size.w, dataset.image_ids[index])


def evaluation_sample(dataset: CocoDataset, index: int, config: CfgNode) -> Sample:
    """Return the image at a position at the size of ``INPUT.MIN_SIZE_TEST``.

    Raises:
        DataError: the image cannot be used.
    """
    image, size = upright_image(dataset, index), dataset.sizes[index]
    nothing = Targets(torch.empty(0, dtype=torch.int64), torch.empty(0, 4))
    return Sample(to_bytes(resized_for_test(image, config)), nothing, size.h, size.w, dataset.image_ids[index])


def upright_image(dataset: CocoDataset, index: int) -> Image.Image:
    """Return the image at a position, turned as its camera was held.

    Raises:
        DataError: it cannot be read, or has not the size that its annotations are for.
    """
    path, size = dataset.image_path(index), dataset.sizes[index]
    image = read_image(path, lambda: dataset.named_by(index))
    ImageOps.exif_transpose(image, in_place=True)
    if image.size != size:
        raise DataError(
            f"{path}: is {image.width} x {image.height} pixels, but {dataset.named_by(index)}, says "
            f"{size.w} x {size.h}; its boxes do not fit, so get the image that was annotated"
        )
    return image


def resized_for_test(image: Image.Image, config: CfgNode) -> Image.Image:
    """Return an image at the size at which the network is tested."""
    limits = config.INPUT.MIN_SIZE_TEST, config.INPUT.MAX_SIZE_TEST
    return Resize(shortest_edge_size(Size.of_image(image), *limits)).image(image)


def _objects(dataset: CocoDataset, index: int) -> tuple[Tensor, Tensor]:
    """Return boxes (N, 4) xyxy, float64, and classes of the single objects."""
    place = dataset.annotations_of(index)
    single_N = ~dataset.is_crowd_N[place]
    boxes_N4 = torch.from_numpy(dataset.boxes_xywh_N4[place][single_N])
    boxes_N4[:, 2:] += boxes_N4[:, :2]
    return boxes_N4, torch.from_numpy(dataset.classes_N[place][single_N])
