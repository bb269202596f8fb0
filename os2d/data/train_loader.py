"""Training batches as a pure function of the iteration.

Batch ``i`` depends on the data set, the configuration, the seed and ``i`` alone: a training that resumes at ``i`` sees
the batches it would have seen, with any number of workers, and no generator state is stored. Where several processes
share a training each of them makes its own images of the joint batch, with the random choices a single one would make.

Shapes: b images, L classes of the batch, A anchors of a patch, ph x pw pixels of a patch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from PIL import Image
from torch import Generator, Tensor
from yacs.config import CfgNode

from os2d.data import augment
from os2d.data.augment import NOT_IN_BATCH, Colours, CropBox, CropRule, Flips
from os2d.data.batch_loader import BatchLoader, share_of
from os2d.data.dataset import DatasetOneShotDetection
from os2d.data.images import resize
from os2d.data.normalisation import to_tensor
from os2d.errors import DataError
from os2d.modeling.box_coder import BoxCoder
from os2d.randomness import numbered_generator
from os2d.structures.affine import BoxTransform
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size, scaled_to_area

_SHUFFLE, _AUGMENT = 0, 1  # streams of random numbers


class HardPatch(Protocol):
    """A crop that mining found worth training on."""

    crop_position_xyxy: BoxList
    """One box, in the frame of the loaded image or of that image resized."""
    label_global: int
    role: str
    """``neg``, ``pos`` or ``pos_loc``."""


@dataclass(frozen=True, eq=False)
class TrainBatch:
    """What one training step needs.

    Args:
        images: (b, 3, ph, pw) normalised patches.
        class_images: L tensors (3, h, w), normalised.
        loc_targets: (b, L, 4, A).
        cls_targets: (b, L, A) int64: 1 positive, 0 negative, -1 ignored.
        class_ids: (L,) int64, ascending.
        boxes: per image, in the frame of the patch; ``labels`` are positions in ``class_ids``, -1 for other classes and
            -2 for boxes outside the patch.
        image_ids: per image.
        to_original: per image, from the patch to the loaded image.
        fm_size: feature map of a patch.
        num_joint_images: of the joint batch, where processes share it; None: the images are all.
        stands_in: the batch has fewer images than there are processes; this process has one to take part in the work,
            but it counts for nothing.
    """

    images: Tensor
    class_images: list[Tensor]
    loc_targets: Tensor
    cls_targets: Tensor
    class_ids: Tensor
    boxes: list[BoxList]
    image_ids: list[int]
    to_original: list[BoxTransform]
    fm_size: Size
    num_joint_images: int | None = None
    stands_in: bool = False

    def pin_memory(self) -> TrainBatch:
        """Return the batch with its large tensors in page-locked memory."""
        return replace(
            self,
            images=self.images.pin_memory(),
            class_images=[image.pin_memory() for image in self.class_images],
            loc_targets=self.loc_targets.pin_memory(),
            cls_targets=self.cls_targets.pin_memory(),
        )

    def to(
        self, device: torch.device | str, memory_format: torch.memory_format = torch.contiguous_format
    ) -> TrainBatch:
        """Return the batch with every tensor on ``device``, and the images in the given layout."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=True).contiguous(memory_format=memory_format),
            class_images=[image.to(device, non_blocking=True) for image in self.class_images],
            loc_targets=self.loc_targets.to(device, non_blocking=True),
            cls_targets=self.cls_targets.to(device, non_blocking=True),
            class_ids=self.class_ids.to(device),
            boxes=[boxes.to(device) for boxes in self.boxes],
        )


class _PatchPlan(NamedTuple):
    """Every random choice about a training patch; making it needs no more of them."""

    image_id: int
    flips: Flips
    crop: CropBox
    filter: Image.Resampling
    colours: Colours | None
    boxes: BoxList
    """Of the whole image, flipped, with local labels."""


class _Patch(NamedTuple):
    """One training patch, before it is a tensor; boxes have local labels."""

    image: Image.Image
    boxes: BoxList
    to_original: BoxTransform


class TrainBatches:
    """Iteration -> :class:`TrainBatch`.

    Args:
        dataset: at least one image with a box.
        config: the whole configuration tree.
        box_coder: computes the targets.
        seed: of every random choice.
        hard_patches: image id -> patches that mining found; one of them replaces the random crop.
        share: number of this process and how many there are; it makes only its own images of every batch.
    """

    def __init__(
        self,
        dataset: DatasetOneShotDetection,
        config: CfgNode,
        box_coder: BoxCoder,
        seed: int,
        hard_patches: Mapping[int, Sequence[HardPatch]] | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        if not dataset.image_ids or not dataset.class_ids:
            raise DataError(f"data set {dataset.name!r} has no boxes to train on")
        self.dataset = dataset
        self.box_coder = box_coder
        self.seed = seed
        self.share = share
        self.hard_patches = hard_patches or {}
        self.batch_size: int = config.train.batch_size
        self.class_batch_size = config.train.class_batch_size
        self.class_image_size = config.model.class_image_size
        self.mean, self.std = config.model.normalization_mean, config.model.normalization_std
        self.augment = config.train.augment
        self.rule = CropRule(
            patch=Size(self.augment.train_patch_width, self.augment.train_patch_height),
            working_scale=dataset.scale_of(config.train.dataset_scale),
            scale_jitter=self.augment.scale_jitter,
            aspect_jitter=self.augment.jitter_aspect_ratio,
            min_box_coverage=self.augment.min_box_coverage,
        )
        self._crops_of_class = _object_crops(dataset) if self.augment.mine_extra_class_images else {}

    @property
    def batches_per_epoch(self) -> int:
        """How many batches show every image once; the smallest of them may be incomplete."""
        return -(-len(self.dataset) // self.batch_size)

    def __getitem__(self, iteration: int) -> TrainBatch:
        generator = numbered_generator(self.seed, _AUGMENT, iteration)
        image_ids = self.image_ids_of(iteration)
        chosen = self._choose_hard_patches(image_ids, generator)
        class_ids = self._choose_classes(image_ids, {p.label_global for p in chosen.values()}, generator)
        flips = augment.random_flips(generator) if self.augment.random_flip_batches else Flips()
        plans = [self._plan(i, chosen.get(i), class_ids, flips, generator) for i in image_ids]
        own = plans[share_of(len(plans), *self.share)]
        patches = [self._patch(plan) for plan in own or plans[:1]]
        class_images = [self._class_tensor(c, flips, generator) for c in class_ids]
        fm_size = Size(*(-(-side // self.box_coder.stride) for side in self.rule.patch))
        targets = [self.box_coder.encode(p.boxes, self.rule.patch, len(class_ids), fm_size) for p in patches]
        return TrainBatch(
            images=torch.stack([to_tensor(p.image, self.mean, self.std) for p in patches]),
            class_images=class_images,
            loc_targets=torch.stack([loc for loc, _ in targets]),
            cls_targets=torch.stack([classes for _, classes in targets]),
            class_ids=torch.tensor(class_ids),
            boxes=[p.boxes for p in patches],
            image_ids=[plan.image_id for plan in own or plans[:1]],
            to_original=[p.to_original for p in patches],
            fm_size=fm_size,
            num_joint_images=len(image_ids),
            stands_in=not own,
        )

    def image_ids_of(self, iteration: int) -> list[int]:
        """Return the images of a batch: every epoch is a new order of all images."""
        epoch, position = divmod(iteration, self.batches_per_epoch)
        generator = numbered_generator(self.seed, _SHUFFLE, epoch)
        order = torch.randperm(len(self.dataset), generator=generator)
        start = int(torch.randperm(self.batches_per_epoch, generator=generator)[position]) * self.batch_size
        ids = self.dataset.image_ids
        return [ids[k] for k in order[start : start + self.batch_size].tolist()]

    def _choose_hard_patches(self, image_ids: Sequence[int], generator: Generator) -> dict[int, HardPatch]:
        """Return a mined patch per image that has one: negatives for the first half of the batch, positives then."""
        chosen = {}
        for position, image_id in enumerate(image_ids):
            patches = self.hard_patches.get(image_id, ())
            role = "neg" if position < len(image_ids) // 2 else "pos"
            candidates = [p for p in patches if p.role.startswith(role)] or patches
            if candidates:
                chosen[image_id] = candidates[int(torch.randint(len(candidates), (), generator=generator))]
        return chosen

    def _choose_classes(self, image_ids: Sequence[int], mined: set[int], generator: Generator) -> list[int]:
        """Return the classes of the batch: those of the mined patches and a random choice of those annotated."""
        annotated = self.dataset.class_ids_of(image_ids) or self.dataset.class_ids[:1]
        order = torch.randperm(len(annotated), generator=generator).tolist()
        free = max(self.class_batch_size - len(mined), 0)
        return sorted(mined | {annotated[k] for k in order[:free]})

    def _plan(
        self,
        image_id: int,
        hard_patch: HardPatch | None,
        class_ids: Sequence[int],
        flips: Flips,
        generator: Generator,
    ) -> _PatchPlan:
        boxes = self.dataset.boxes(image_id)
        flip = flips.transform(boxes.size)
        boxes = boxes.with_boxes(flip.apply(boxes.boxes_xyxy), boxes.size)
        boxes = boxes.with_field("labels", _local_labels(boxes.field("labels"), class_ids))
        if hard_patch is None:
            crop = augment.random_crop(boxes.size, boxes.boxes_xyxy, self.rule, generator)
        else:
            position = hard_patch.crop_position_xyxy.resized(boxes.size)
            crop = augment.mined_crop(flip.apply(position.boxes_xyxy)[0])
        filter = augment.random_filter(generator)
        colours = augment.random_colours(generator) if self.augment.random_color_distortion else None
        return _PatchPlan(image_id, flips, crop, filter, colours, boxes)

    def _patch(self, plan: _PatchPlan) -> _Patch:
        image, crop = self.dataset.load_image(plan.image_id), plan.crop
        patch = resize(plan.flips(image).crop(crop), self.rule.patch, plan.filter)
        if plan.colours is not None:
            patch = plan.colours(patch)
        moved = plan.flips.transform(plan.boxes.size).then(BoxTransform.crop(crop.left, crop.top))
        moved = moved.then(BoxTransform.between(crop.size, self.rule.patch))
        return _Patch(patch, augment.crop_boxes(plan.boxes, crop).resized(self.rule.patch), moved.inverse())

    def _class_tensor(self, class_id: int, flips: Flips, generator: Generator) -> Tensor:
        image = flips(self._choose_class_image(class_id, generator))
        if self.augment.random_color_distortion:
            image = augment.random_colours(generator)(image)
        if self.augment.random_crop_class_images:
            scale, aspect = self.augment.scale_jitter, self.augment.jitter_aspect_ratio
            image = augment.random_class_crop(image, scale, aspect, generator)
        size = scaled_to_area(Size.of_image(image), self.class_image_size)
        return to_tensor(resize(image, size, augment.random_filter(generator)), self.mean, self.std)

    def _choose_class_image(self, class_id: int, generator: Generator) -> Image.Image:
        """Return the class image or, where extra ones are wanted, one of the objects of the class in the images."""
        crops = self._crops_of_class.get(class_id, [])
        choice = int(torch.randint(len(crops) + 1, (), generator=generator)) if crops else 0
        if choice == 0:
            return self.dataset.class_image(class_id)
        image_id, crop = crops[choice - 1]
        return self.dataset.load_image(image_id).crop(crop)


def build_train_loader(
    dataset: DatasetOneShotDetection,
    config: CfgNode,
    box_coder: BoxCoder,
    *,
    seed: int,
    start: int,
    stop: int,
    hard_patches: Mapping[int, Sequence[HardPatch]] | None = None,
    share: tuple[int, int] = (0, 1),
) -> BatchLoader[TrainBatch]:
    """Return the batches ``start`` to ``stop - 1``, or this process's share of each."""
    dataset.preload()
    batches = TrainBatches(dataset, config, box_coder, seed, hard_patches, share)
    workers = config.runtime.num_workers
    return BatchLoader(batches, range(start, stop), workers, pin_memory=config.is_cuda, prefetch=2)


def _local_labels(labels_N: Tensor, class_ids: Sequence[int]) -> Tensor:
    """Return the positions of labels in ``class_ids``, or -1."""
    matches_NL = labels_N[:, None] == torch.tensor(class_ids)[None, :]
    return torch.where(matches_NL.any(dim=1), matches_NL.int().argmax(dim=1), NOT_IN_BATCH)


def _object_crops(dataset: DatasetOneShotDetection) -> dict[int, list[tuple[int, CropBox]]]:
    """Return where the clearly visible objects of every class are: image id and box in whole pixels."""
    crops: dict[int, list[tuple[int, CropBox]]] = defaultdict(list)
    for image_id in dataset.image_ids:
        boxes = dataset.boxes(image_id)
        for box, label in zip(
            boxes.boxes_xyxy[~boxes.field("difficult")].round().int().tolist(),
            boxes.field("labels")[~boxes.field("difficult")].tolist(),
            strict=True,
        ):
            left, top, right, bottom = box
            crops[label].append((image_id, CropBox(left, top, max(right, left + 1), max(bottom, top + 1))))
    return dict(crops)
