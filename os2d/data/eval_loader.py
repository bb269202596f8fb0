"""Images and class images as evaluation wants them: whole, at every scale of the pyramid, without randomness.

Shapes: b images of one size, 3 colour channels, h x w pixels of a pyramid level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor
from yacs.config import CfgNode

from os2d.data.batch_loader import BatchLoader
from os2d.data.dataset import DatasetOneShotDetection
from os2d.data.images import resize
from os2d.data.normalisation import to_tensor
from os2d.errors import ConfigError
from os2d.structures.affine import BoxTransform
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size, scaled_to_area

_VIEWS: dict[str, tuple[tuple[int, bool], ...]] = {
    "": ((0, False),),
    "rotation90": ((0, False), (1, False), (2, False), (3, False)),
    "horflip": ((0, False), (0, True)),
    "horflip_rotation90": (
        *((0, False), (1, False), (2, False), (3, False)),
        *((0, True), (1, True), (2, True), (3, True)),
    ),
}
"""``eval.class_image_augmentation`` -> views: quarter turns counter-clockwise, then mirrored or not."""


@dataclass(frozen=True, eq=False)
class EvalBatch:
    """Images of one size at every scale.

    Args:
        image_ids: b ids.
        levels: per scale, (b, 3, h, w) normalised.
        loaded_size: size of the loaded images; boxes and results refer to it.
        level_sizes: per scale.
        to_original: per scale, from the level to the loaded image.
        boxes: per image, fields ``labels`` (class ids) and ``difficult``.
    """

    image_ids: list[int]
    levels: list[Tensor]
    loaded_size: Size
    level_sizes: list[Size]
    to_original: list[BoxTransform]
    boxes: list[BoxList]

    def pin_memory(self) -> EvalBatch:
        """Return the batch with its images in page-locked memory."""
        return replace(self, levels=[level.pin_memory() for level in self.levels])


class EvalImages:
    """Batch number -> :class:`EvalBatch`; a batch holds images of exactly one size.

    Args:
        dataset: the images.
        config: the whole configuration tree.
        dataset_scale: size at which pyramid scale 1 sees the images.
        pyramid_scales: in place of ``eval.scales_of_image_pyramid``.
    """

    def __init__(
        self,
        dataset: DatasetOneShotDetection,
        config: CfgNode,
        dataset_scale: float,
        pyramid_scales: Sequence[float] | None = None,
    ) -> None:
        self.dataset = dataset
        self.mean, self.std = config.model.normalization_mean, config.model.normalization_std
        pyramid = pyramid_scales if pyramid_scales is not None else config.eval.scales_of_image_pyramid
        self.scales = [scale * dataset.scale_of(dataset_scale) for scale in pyramid]
        size = config.eval.batch_size
        self._batches = [
            ids[k : k + size] for ids in dataset.split_images_into_buckets_by_size() for k in range(0, len(ids), size)
        ]

    def __len__(self) -> int:
        return len(self._batches)

    def image_ids(self, number: int) -> list[int]:
        """Return the images of a batch."""
        return self._batches[number]

    def __getitem__(self, number: int) -> EvalBatch:
        image_ids = self._batches[number]
        images = [self.dataset.load_image(i) for i in image_ids]
        boxes = [self.dataset.boxes(i) for i in image_ids]
        return eval_batch(image_ids, images, boxes, self.scales, self.mean, self.std)


def eval_batch(
    image_ids: Sequence[int],
    images: Sequence[Image.Image],
    boxes: Sequence[BoxList],
    scales: Sequence[float],
    mean: Sequence[float],
    std: Sequence[float],
) -> EvalBatch:
    """Return loaded images of one size at every scale; ``mean`` and ``std`` normalise their pixels."""
    loaded_size = Size.of_image(images[0])
    level_sizes = [loaded_size.scaled(scale) for scale in scales]
    levels = [torch.stack([to_tensor(resize(image, size), mean, std) for image in images]) for size in level_sizes]
    return EvalBatch(
        image_ids=list(image_ids),
        levels=levels,
        loaded_size=loaded_size,
        level_sizes=level_sizes,
        to_original=[BoxTransform.between(size, loaded_size) for size in level_sizes],
        boxes=list(boxes),
    )


def build_eval_loader(
    dataset: DatasetOneShotDetection,
    config: CfgNode,
    dataset_scale: float,
    pyramid_scales: Sequence[float] | None = None,
    share: Callable[[Sequence[int]], Sequence[int]] = list,
) -> BatchLoader[EvalBatch]:
    """Return the images of a data set in batches of ``eval.batch_size``; see :class:`EvalImages`.

    ``share`` picks the numbers of the batches that this process works on.
    """
    dataset.preload()
    images = EvalImages(dataset, config, dataset_scale, pyramid_scales)
    numbers = share(range(len(images)))
    return BatchLoader(images, numbers, config.runtime.num_workers, pin_memory=config.is_cuda, prefetch=1)


def class_image_views(dataset: DatasetOneShotDetection, config: CfgNode) -> Iterator[tuple[int, list[Tensor]]]:
    """Yield every class id, ascending, with the views of its image: tensors (3, h, w), normalised."""
    for class_id in dataset.class_ids:
        yield class_id, views_of_class_image(dataset.class_image(class_id), config)


def views_of_class_image(image: Image.Image, config: CfgNode) -> list[Tensor]:
    """Return the views of an RGB picture that ``eval.class_image_augmentation`` asks for: (3, h, w), normalised."""
    kind = config.eval.class_image_augmentation
    if kind not in _VIEWS:
        known = ", ".join(map(repr, _VIEWS))
        raise ConfigError(f"eval.class_image_augmentation: expected one of {known}, got {kind!r}")
    size = scaled_to_area(Size.of_image(image), config.model.class_image_size)
    tensor = to_tensor(resize(image, size), config.model.normalization_mean, config.model.normalization_std)
    return [_view(tensor, turns, mirrored) for turns, mirrored in _VIEWS[kind]]


def load_class_images(dataset: DatasetOneShotDetection, config: CfgNode) -> list[tuple[int, list[Tensor]]]:
    """Return :func:`class_image_views` as a list."""
    return list(class_image_views(dataset, config))


def _view(image_3hw: Tensor, quarter_turns: int, mirrored: bool) -> Tensor:
    turned = torch.rot90(image_3hw, quarter_turns, (1, 2))
    return (turned.flip(2) if mirrored else turned).contiguous()
