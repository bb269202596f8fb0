"""Hard patch mining: the parts of the training images that the network gets most wrong (OS2D, section 5).

Legend: L classes of a chunk, A anchors of all levels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms
from yacs.config import CfgNode

from os2d.data.dataset import DatasetOneShotDetection
from os2d.data.eval_loader import EvalBatch, EvalImages
from os2d.data.loading import BatchLoader
from os2d.engine.detection import ClassHeads, MatchedRows, make_class_heads, match_in_chunks
from os2d.engine.hard_patch import ROLES, HardPatches, MinedPatch
from os2d.engine.objective import Levels, Os2dObjective
from os2d.modeling.anchors import crops_around_anchors
from os2d.modeling.head import Matches
from os2d.modeling.model import Os2d
from os2d.run import Run
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

_SCALES, _CLASSES = 0, 1  # streams of random numbers


def mine_hard_patches(
    model: Os2d, dataset: DatasetOneShotDetection, config: CfgNode, run: Run, *, seed: int, iteration: int
) -> HardPatches:
    """Return the hardest patches of every training image; the network is left in evaluation mode.

    Random scales and classes depend on ``seed`` and ``iteration`` alone. Of the views of a class image only the first
    is looked for. Between images it looks whether the run should stop; the caller has saved what is to be resumed.
    """
    model.eval()
    device = next(model.parameters()).device
    heads = make_class_heads(model, dataset, config, device)
    objective = Os2dObjective.from_config(config)
    mined: HardPatches = OrderedDict()
    for number, batch in enumerate(_pyramid_loader(dataset, config, seed, iteration)):
        if run.should_stop:
            run.interrupt()
        classes = _choose_classes(
            dataset, batch, heads.class_ids, config, _generator(seed, _CLASSES, iteration, number)
        )
        rows = torch.tensor(classes) * heads.views
        chosen = ClassHeads([heads.class_ids[k] for k in classes], 1, heads.heads[rows.to(device)])
        mined.update(_mine_batch(model, objective, batch, chosen, config))
    return mined


@torch.no_grad()
def _mine_batch(
    model: Os2d, objective: Os2dObjective, batch: EvalBatch, class_heads: ClassHeads, config: CfgNode
) -> HardPatches:
    device = next(model.parameters()).device
    levels = [level.to(device, non_blocking=True) for level in batch.levels]
    hardest = [{role: _Hardest() for role in ROLES} for _ in batch.image_ids]
    for matched in match_in_chunks(model, levels, class_heads, config.runtime.head_memory_mb):
        for i, gt in enumerate(batch.boxes):
            _take_hardest(hardest[i], model, objective, batch, matched, i, _local(gt, class_heads, matched.rows))
    geometry = _geometry(model, batch, matched.levels, config, device)
    mined: HardPatches = OrderedDict()
    for image_id, of_image in zip(batch.image_ids, hardest, strict=True):
        mined[image_id] = [
            patch
            for role in ROLES
            for patch in _select(of_image[role], role, image_id, geometry, class_heads, batch.loaded_size, config)
        ]
    return mined


class _Hardest:
    """The class with the highest loss at every anchor, of the classes seen so far; the first one of equals.

    All classes share the crop around an anchor, so suppression of overlapping crops would leave this one anyway.
    """

    def __init__(self) -> None:
        self.loss = torch.empty(0)

    def take(self, loss_LA: Tensor, first_label: int, details: dict[str, Tensor]) -> None:
        """Add classes: the loss to compare, -inf where the anchor has another role, and what to remember."""
        loss_A, row_A = loss_LA.max(dim=0)
        picked = {
            name: values[row_A, torch.arange(len(row_A), device=row_A.device)] for name, values in details.items()
        }
        picked["label"] = row_A + first_label
        if not len(self.loss):
            self.loss, self.details = loss_A, picked
            return
        harder = loss_A > self.loss
        self.loss = torch.where(harder, loss_A, self.loss)
        for name, values in picked.items():
            mask = harder.view(-1, *[1] * (values.ndim - 1))
            self.details[name] = torch.where(mask, values, self.details[name])


def _take_hardest(
    hardest: dict[str, _Hardest],
    model: Os2d,
    objective: Os2dObjective,
    batch: EvalBatch,
    matched: MatchedRows,
    index: int,
    gt: BoxList,
) -> None:
    """Update the hardest anchors of every role with some classes."""
    coder, levels = model.box_coder, matched.levels
    device = levels[0].class_scores.device
    gt = gt.to(device)
    num_labels = matched.rows.stop - matched.rows.start
    fm_sizes = [m.fm_size for m in levels]
    loc_targets, cls_targets = coder.encode_pyramid(gt, batch.level_sizes, num_labels, fm_sizes, batch.to_original)
    codes = [m.loc_scores[index][None] for m in levels]
    remapped = None
    if objective.remap_classification_targets:
        remapped = [
            coder.remap_targets(c, [gt], fm, [transform]).targets
            for c, fm, transform in zip(codes, fm_sizes, batch.to_original, strict=True)
        ]
    scores = [m.class_scores[index][None] for m in levels]
    _, terms = objective.for_mining(
        codes, [t[None] for t in loc_targets], scores, [t[None] for t in cls_targets], cls_targets_remapped=remapped
    )
    cls_loss, loc_loss = _joined(terms.cls_loss), _joined(terms.loc_loss)
    corners = torch.cat(
        [t.apply_corners(m.corners[index].movedim(1, -1)) for m, t in zip(levels, batch.to_original, strict=True)],
        dim=1,
    )
    details = {"loss": cls_loss, "loss_loc": loc_loss, "score": _joined(scores), "transform_corners": corners}
    for role, mask, loss in (
        ("neg", terms.neg_mask, cls_loss),
        ("pos", terms.pos_mask, cls_loss),
        ("pos_loc", terms.pos_for_regression, loc_loss),
    ):
        masked = torch.where(_joined(mask), loss, -torch.inf)
        hardest[role].take(masked, matched.rows.start, details)


class _Geometry(NamedTuple):
    """The anchors of all levels: level, number in it, crop and box in the loaded image."""

    level: Tensor
    anchor: Tensor
    crops: Tensor
    boxes: Tensor


def _geometry(
    model: Os2d, batch: EvalBatch, levels: Sequence[Matches], config: CfgNode, device: torch.device
) -> _Geometry:
    crop = Size(config.train.augment.train_patch_width, config.train.augment.train_patch_height)
    parts = []
    for k, (match, size, to_original) in enumerate(zip(levels, batch.level_sizes, batch.to_original, strict=True)):
        boxes = model.box_coder.anchors(match.fm_size, device)
        crops = crops_around_anchors(boxes, size, crop, model.stride)
        anchor = torch.arange(len(boxes), device=device)
        parts.append((torch.full_like(anchor, k), anchor, to_original.apply(crops), to_original.apply(boxes)))
    return _Geometry(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _select(
    hardest: _Hardest,
    role: str,
    image_id: int,
    geometry: _Geometry,
    class_heads: ClassHeads,
    frame: Size,
    config: CfgNode,
) -> list[MinedPatch]:
    """Return the patches of a role with the highest loss whose crops do not overlap much."""
    mining = config.train.mining
    candidates = torch.isfinite(hardest.loss).nonzero().squeeze(1)
    labels = hardest.details["label"][candidates]
    # Equal losses rank by level, class and anchor.
    order = (labels + geometry.level[candidates] * len(class_heads.class_ids)).argsort(stable=True)
    candidates = candidates[order]
    kept = nms(geometry.crops[candidates], hardest.loss[candidates], mining.nms_iou_threshold_in_mining)
    chosen = candidates[kept[: mining.num_hard_patches_per_image]]
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


def _local(gt: BoxList, class_heads: ClassHeads, rows: slice) -> BoxList:
    """Return the boxes with labels relative to the first row; those of other classes fall outside and do not count."""
    position = {class_id: k - rows.start for k, class_id in enumerate(class_heads.class_ids)}
    labels = [position.get(label, -1) for label in gt.field("labels").tolist()]
    return gt.with_field("labels", torch.tensor(labels, dtype=torch.int64))


def _joined(levels: Levels) -> Tensor:
    """Return the values of one image over the anchors of all levels, L x A."""
    return (levels if isinstance(levels, Tensor) else torch.cat(list(levels), dim=-1))[0]


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


@dataclass(frozen=True)
class _RandomPyramids:
    """Batch number -> images at scales drawn for this batch."""

    dataset: DatasetOneShotDetection
    config: CfgNode
    seed: int
    iteration: int

    def __getitem__(self, number: int) -> EvalBatch:
        pyramid = self.config.eval.scales_of_image_pyramid
        generator = _generator(self.seed, _SCALES, self.iteration, number)
        count = self.config.train.mining.num_random_pyramid_scales
        scales = generator.uniform(min(pyramid), max(pyramid), count).tolist()
        return EvalImages(self.dataset, self.config, self.config.train.dataset_scale, scales)[number]


def _pyramid_loader(
    dataset: DatasetOneShotDetection, config: CfgNode, seed: int, iteration: int
) -> BatchLoader[EvalBatch]:
    """Return all images at the evaluation scales, or at random ones."""
    images = EvalImages(dataset, config, config.train.dataset_scale)
    numbers = range(len(images))
    batches = (
        _RandomPyramids(dataset, config, seed, iteration) if config.train.mining.num_random_pyramid_scales else images
    )
    return BatchLoader(batches, numbers, config.runtime.num_workers, pin_memory=config.is_cuda, prefetch=1)


def _generator(seed: int, stream: int, iteration: int, number: int) -> np.random.Generator:
    return np.random.default_rng([seed & 0xFFFFFFFF, stream, iteration, number])
