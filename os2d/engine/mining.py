"""Hard patch mining: the parts of the training images that the network gets most wrong (OS2D, section 5).

The hardest anchors are found for all classes; of those whose crops overlap, the hardest becomes a patch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms
from yacs.config import CfgNode

from os2d.data.batch_loader import BatchLoader
from os2d.data.dataset import DatasetOneShotDetection
from os2d.data.eval_loader import EvalBatch, EvalImages
from os2d.distributed import gather, world_size
from os2d.engine.detection import ClassHeads, make_class_heads, match_in_chunks
from os2d.engine.hard_patch import ROLES, HardPatches, MinedPatch
from os2d.engine.hardest_anchors import HardestAnchors, take_hardest
from os2d.engine.heatmaps import draw_heatmaps
from os2d.engine.pictures import Pictures
from os2d.engine.sharding import my_share
from os2d.modeling.anchors import crops_around_anchors
from os2d.modeling.network import Os2d
from os2d.modeling.objective import Os2dObjective
from os2d.run import Run
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

_SCALES, _CLASSES = 0, 1  # streams of random numbers

FIRST_WINDOW, WINDOW_GROWTH = 2048, 4
"""So many of the hardest anchors are first tried for suppression, and so many times more if they are too few."""


def mine_hard_patches(
    model: Os2d,
    dataset: DatasetOneShotDetection,
    config: CfgNode,
    run: Run,
    *,
    seed: int,
    iteration: int,
    mined: HardPatches | None = None,
    save: Callable[[HardPatches], None] | None = None,
) -> HardPatches:
    """Return the hardest patches of every training image; the network is left in evaluation mode.

    Random scales and classes depend on ``seed`` and ``iteration`` alone. Of the views of a class image only the first
    is looked for. Between images it looks whether the run should stop.

    Args:
        model: the network.
        dataset: the training images.
        config: the whole configuration tree.
        run: asked whether to stop.
        seed: of the random choices.
        iteration: of the training.
        mined: image id -> patches of an interrupted pass; those images are not repeated.
        save: called after every batch of images with what is mined so far, before the run is interrupted.
    """
    model.eval()
    device = next(model.parameters()).device
    heads = make_class_heads(model, dataset, _first_views(config), device)
    objective = Os2dObjective.from_config(config)
    images = EvalImages(dataset, config, config.train.dataset_scale)
    pictures = Pictures(config, run, iteration)
    done = OrderedDict(mined or {})
    left = [n for n in range(len(images)) if not all(i in done for i in images.image_ids(n))]
    share = my_share(left)
    batches = zip(share, _pyramid_loader(images, share, config, seed, iteration), strict=True)
    # Processes advance together, so that after every turn each of them knows all that may be saved.
    for _ in range(0, len(left), world_size()):
        fresh: HardPatches = OrderedDict()
        if (numbered := next(batches, None)) is not None:
            number, batch = numbered
            generator = _generator(seed, _CLASSES, iteration, number)
            classes = _choose_classes(dataset, batch, heads.class_ids, config, generator)
            rows = torch.tensor(classes, device=device)
            chosen = ClassHeads([heads.class_ids[k] for k in classes], 1, heads.heads[rows])
            fresh = _mine_batch(model, objective, dataset, batch, chosen, config, pictures)
        for of_process in gather(fresh):
            done.update(of_process)
        if save is not None:
            save(done)
        if run.should_stop and len(done) < len(dataset):
            run.interrupt()
    order = [image_id for number in range(len(images)) for image_id in images.image_ids(number)]
    return OrderedDict((image_id, done[image_id]) for image_id in order)


@torch.no_grad()
def _mine_batch(
    model: Os2d,
    objective: Os2dObjective,
    dataset: DatasetOneShotDetection,
    batch: EvalBatch,
    class_heads: ClassHeads,
    config: CfgNode,
    pictures: Pictures,
) -> HardPatches:
    device = next(model.parameters()).device
    levels = [level.to(device, non_blocking=True) for level in batch.levels]
    hardest = [{role: HardestAnchors() for role in ROLES} for _ in batch.image_ids]
    for matched in match_in_chunks(model, levels, class_heads, config.runtime.head_memory_mb):
        for i, gt in enumerate(batch.boxes):
            take_hardest(hardest[i], model, objective, batch, matched, i, _local(gt, class_heads, matched.rows))
    geometry = _geometry(model, batch, config, device)
    mined: HardPatches = OrderedDict()
    for image_id, of_image in zip(batch.image_ids, hardest, strict=True):
        mined[image_id] = [
            patch
            for role in ROLES
            for patch in _select(of_image[role], role, image_id, geometry, class_heads, batch.loaded_size, config)
        ]
        pictures.mined_patches(dataset, image_id, mined[image_id])
    draw_heatmaps(model, dataset, batch, levels, class_heads, pictures, "mining")
    return mined


class _Geometry(NamedTuple):
    """The anchors of all levels: level, number in it, crop and box in the loaded image."""

    level: Tensor
    anchor: Tensor
    crops: Tensor
    boxes: Tensor


def _geometry(model: Os2d, batch: EvalBatch, config: CfgNode, device: torch.device) -> _Geometry:
    crop = Size(config.train.augment.train_patch_width, config.train.augment.train_patch_height)
    parts = []
    for k, (size, to_original) in enumerate(zip(batch.level_sizes, batch.to_original, strict=True)):
        boxes = model.box_coder.anchors(model.box_coder.feature_map_size(size), device)
        crops = crops_around_anchors(boxes, size, crop, model.stride)
        anchor = torch.arange(len(boxes), device=device)
        parts.append((torch.full_like(anchor, k), anchor, to_original.apply(crops), to_original.apply(boxes)))
    return _Geometry(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _select(
    hardest: HardestAnchors,
    role: str,
    image_id: int,
    geometry: _Geometry,
    class_heads: ClassHeads,
    frame: Size,
    config: CfgNode,
) -> list[MinedPatch]:
    """Return the patches of a role with the highest loss whose crops do not overlap much."""
    if not len(hardest.ranked):
        return []
    mining = config.train.mining
    candidates = (hardest.ranked > -torch.inf).nonzero().squeeze(1)
    labels = hardest.details["label"][candidates]
    # Equal losses rank by level, class and anchor.
    order = (labels + geometry.level[candidates] * len(class_heads.class_ids)).argsort(stable=True)
    candidates = candidates[order]
    candidates = candidates[hardest.ranked[candidates].argsort(stable=True, descending=True)]
    kept = _first_kept(
        geometry.crops[candidates], mining.nms_iou_threshold_in_mining, mining.num_hard_patches_per_image
    )
    chosen = candidates[kept]
    details = {name: values[chosen].cpu() for name, values in hardest.details.items()}
    level, anchor, crops, boxes = (values[chosen].cpu() for values in geometry)
    return [
        MinedPatch(
            image_id=image_id,
            role=role,
            label_global=class_heads.class_ids[int(details["label"][k])],
            label_local=int(details["label"][k]),
            pyramid_level=int(level[k]),
            anchor_index=int(anchor[k]),
            loss=float(details["loss"][k]),
            loss_loc=float(details["loss_loc"][k]),
            score=float(details["score"][k]),
            crop_position_xyxy=BoxList(crops[k : k + 1].clone(), frame),
            anchor_position_xyxy=BoxList(boxes[k : k + 1].clone(), frame),
            transform_corners=details["transform_corners"][k].clone(),
        )
        for k in range(len(chosen))
    ]


def _first_kept(boxes_N4: Tensor, iou_threshold: float, count: int) -> Tensor:
    """Return the first ``count`` of the boxes, given by falling score, that non-maximum suppression keeps.

    Whether a box stays depends on those before it alone, so the first few thousand boxes usually decide.
    """
    window = FIRST_WINDOW
    while True:
        falling = -torch.arange(min(window, len(boxes_N4)), device=boxes_N4.device, dtype=torch.float32)
        kept: Tensor = nms(boxes_N4[:window], falling, iou_threshold)[:count]
        if len(kept) == count or window >= len(boxes_N4):
            return kept
        window *= WINDOW_GROWTH


def _local(gt: BoxList, class_heads: ClassHeads, rows: slice) -> BoxList:
    """Return the boxes with labels relative to the first row; those of other classes fall outside and do not count."""
    position = {class_id: k - rows.start for k, class_id in enumerate(class_heads.class_ids)}
    labels = [position.get(label, -1) for label in gt.field("labels").tolist()]
    return gt.with_field("labels", torch.tensor(labels, dtype=torch.int64))


def _choose_classes(
    dataset: DatasetOneShotDetection,
    batch: EvalBatch,
    class_ids: Sequence[int],
    config: CfgNode,
    generator: np.random.Generator,
) -> list[int]:
    """Return positions of the classes to look for: those in the images and some random ones, or all."""
    count = config.train.mining.num_random_negative_classes
    if count == -1:
        return list(range(len(class_ids)))
    position = {class_id: k for k, class_id in enumerate(class_ids)}
    annotated = {position[c] for c in dataset.class_ids_of(batch.image_ids)}
    random = generator.permutation(len(class_ids))[:count].tolist()
    return sorted(annotated.union(random) or {0})


def _first_views(config: CfgNode) -> CfgNode:
    """Return the configuration without the views of class images that mining does not look for."""
    config = config.clone()
    config.defrost()
    config.eval.class_image_augmentation = ""
    return config


@dataclass(frozen=True)
class _RandomPyramids:
    """Batch number -> images at scales drawn for this batch."""

    images: EvalImages
    config: CfgNode
    seed: int
    iteration: int

    def __getitem__(self, number: int) -> EvalBatch:
        pyramid = self.config.eval.scales_of_image_pyramid
        generator = _generator(self.seed, _SCALES, self.iteration, number)
        count = self.config.train.mining.num_random_pyramid_scales
        scales = generator.uniform(min(pyramid), max(pyramid), count).tolist()
        dataset = self.images.dataset
        return EvalImages(dataset, self.config, self.config.train.dataset_scale, scales)[number]


def _pyramid_loader(
    images: EvalImages, numbers: Sequence[int], config: CfgNode, seed: int, iteration: int
) -> BatchLoader[EvalBatch]:
    """Return batches of images at the evaluation scales, or at random ones."""
    random = config.train.mining.num_random_pyramid_scales > 0
    batches = _RandomPyramids(images, config, seed, iteration) if random else images
    return BatchLoader(batches, numbers, config.runtime.num_workers, pin_memory=config.is_cuda, prefetch=1)


def _generator(seed: int, stream: int, iteration: int, number: int) -> np.random.Generator:
    return np.random.default_rng([seed & 0xFFFFFFFF, stream, iteration, number])
