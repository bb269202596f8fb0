"""Pictures of what happens inside training, evaluation and mining, for the flags of ``visualization``.

Nothing opens a window and nothing waits: every picture is a PNG among the artifacts of the run, below ``pictures/``,
in a folder and under a name that tell the data set, the step and the image. A method whose flag is off returns at once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from yacs.config import CfgNode

from os2d.data.augment import CUT_OFF, NOT_IN_BATCH
from os2d.data.dataset import DatasetOneShotDetection
from os2d.data.eval_loader import EvalBatch
from os2d.data.normalisation import to_image
from os2d.data.train_loader import TrainBatch
from os2d.engine.hard_patch import MinedPatch
from os2d.modeling.box_coder import BoxCoder, RemappedTargets
from os2d.modeling.head import Matches
from os2d.run import Run
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size
from os2d.visualization.anchor_maps import AnchorMap, HeatLevel, anchor_map_panel, class_heat_maps
from os2d.visualization.annotated_image import annotated_image
from os2d.visualization.marks import Mark, detection_marks, ground_truth_marks

logger = logging.getLogger(__name__)

PICTURED_BATCHES = 4
"""So many batches are drawn at the start of a training, and the first one after every evaluation."""

PICTURED_IMAGES = 20
"""So many images of a data set are drawn, unless ``images_for_heatmaps`` lists those to draw."""

PICTURED_LABELS = 6
"""So many classes of a training patch get a panel of target maps."""

_DRAWS_NOTHING_WITHOUT = {
    "visualization.eval.show_class_heatmaps": "visualization.eval.images_for_heatmaps",
    "visualization.mining.show_class_heatmaps": "visualization.mining.images_for_heatmaps",
    "visualization.train.show_target_remapping": "train.objective.remap_classification_targets",
}

ROLE_COLOURS = {"neg": "orange", "pos": "yellow", "pos_loc": "lime"}


@dataclass(frozen=True)
class Pictures:
    """Draws for one run; only its first process does.

    Args:
        config: the whole configuration tree.
        run: keeps the pictures.
        iteration: part of the names, for evaluation and mining in the course of a training.
    """

    config: CfgNode
    run: Run
    iteration: int | None = None

    def __post_init__(self) -> None:
        for flag, needed in _DRAWS_NOTHING_WITHOUT.items():
            if _value(self.config, flag) and not _value(self.config, needed):
                logger.warning("%s: draws nothing without %s", flag, needed)

    def training_batch(self, batch: TrainBatch, iteration: int) -> None:
        """Draw the patches of a batch with their boxes (``train.show_gt_boxes_dataloader``)."""
        if not self._draws_batch("show_gt_boxes_dataloader", iteration):
            return
        for i, image_id in enumerate(batch.image_ids):
            marks = ground_truth_marks(_with_class_ids(batch.boxes[i].to("cpu"), batch.class_ids.cpu()))
            self._keep_patch(batch, i, iteration, "ground_truth", f"image {image_id}, training patch", marks)

    def training_detections(self, batch: TrainBatch, matches: Matches, box_coder: BoxCoder, iteration: int) -> None:
        """Draw what the network finds in the patches of a batch (``train.show_detections``)."""
        if not self._draws_batch("show_detections", iteration):
            return
        settings, size = self.config.visualization.train, Size.of_tensor(batch.images)
        for i, image_id in enumerate(batch.image_ids):
            found = box_coder.decode_pyramid(
                loc_scores=[matches.loc_scores[i].detach()],
                class_scores=[matches.class_scores[i].detach()],
                corners=[matches.corners[i].detach()],
                image_sizes=[size],
                fm_sizes=[matches.fm_size],
                class_ids=batch.class_ids,
                score_threshold=self.config.eval.nms_score_threshold,
                nms_iou=self.config.eval.nms_iou_threshold,
                to_original=None,
                original_size=size,
                nms_across_classes=self.config.eval.nms_across_classes,
            )
            marks = detection_marks(best_detections(found.to("cpu"), settings))
            title = f"image {image_id}, training patch: best {len(marks)} detections"
            self._keep_patch(batch, i, iteration, "detections", title, marks)

    def keep_gradients(self, matches: Matches, iteration: int) -> None:
        """Ask torch to keep the gradients that :meth:`target_remapping` draws; to be called before ``backward``."""
        if self._draws_batch("show_target_remapping", iteration) and matches.class_scores.requires_grad:
            matches.class_scores.retain_grad()
            matches.class_scores_detached.retain_grad()

    def target_remapping(
        self,
        batch: TrainBatch,
        matches: Matches,
        remapped: RemappedTargets,
        losses_per_element: Tensor,
        iteration: int,
    ) -> None:
        """Draw eight maps per patch and class, to be called after ``backward`` (``train.show_target_remapping``).

        Targets before and after remapping, the overlaps behind them, scores, class losses, and the gradient of the loss
        with respect to the scores that reach the alignment and to those that do not. Classes with a box come first.
        """
        if not self._draws_batch("show_target_remapping", iteration):
            return
        gradients = [_gradient(matches.class_scores), _gradient(matches.class_scores_detached)]
        class_ids = batch.class_ids.tolist()
        for i, image_id in enumerate(batch.image_ids):
            for label in _labels_with_boxes_first(batch.boxes[i], len(class_ids))[:PICTURED_LABELS]:

                def cells(values: Tensor, i: int = i, label: int = label) -> NDArray[np.float64]:
                    return _as_map(values[i, label], batch.fm_size)

                maps = [
                    AnchorMap("targets", cells(batch.cls_targets), targets=True),
                    AnchorMap("IoU of anchors", cells(remapped.iou_anchors), limits=(0, 1)),
                    AnchorMap("scores", cells(matches.class_scores)),
                    AnchorMap("gradient", None if gradients[0] is None else cells(gradients[0])),
                    AnchorMap("targets, remapped", cells(remapped.targets), targets=True),
                    AnchorMap("IoU of boxes", cells(remapped.iou_decoded), limits=(0, 1)),
                    AnchorMap("class loss", cells(losses_per_element)),
                    AnchorMap("gradient, detached", None if gradients[1] is None else cells(gradients[1])),
                ]
                title = f"image {image_id}, class {class_ids[label]}, step {iteration}"
                name = f"image_{image_id}_class_{class_ids[label]}_targets"
                self._keep(f"train/{_step(iteration)}/{name}", anchor_map_panel(title, maps, columns=4))

    def draws_image(self, dataset: DatasetOneShotDetection, image_id: int, branch: str) -> bool:
        """Return whether pictures of an image are wanted; ``branch`` is ``eval`` or ``mining``."""
        settings = self.config.visualization[branch]
        flags = [name for name in settings if name.startswith("show_") and settings[name]]
        if self.run.rank != 0 or not flags:
            return False
        return image_id in (settings.images_for_heatmaps or dataset.image_ids[:PICTURED_IMAGES])

    def draws_detections(self, dataset: DatasetOneShotDetection, image_id: int) -> bool:
        """Return whether the detections of an image will be drawn: corners and anchors are worth keeping then."""
        return self.config.visualization.eval.show_detections and self.draws_image(dataset, image_id, "eval")

    def evaluated_image(
        self, dataset: DatasetOneShotDetection, image_id: int, ground_truth: BoxList, detections: BoxList
    ) -> None:
        """Draw an image with its boxes and with its best detections (``eval.show_gt_boxes``, ``.show_detections``).

        The detections may have the fields ``transform_corners`` and ``default_boxes``.
        """
        settings = self.config.visualization.eval
        if not self.draws_image(dataset, image_id, "eval"):
            return
        if settings.show_gt_boxes:
            self._keep_image(
                dataset, image_id, "eval", "ground_truth", "ground truth", ground_truth_marks(ground_truth)
            )
        if settings.show_detections:
            marks = detection_marks(best_detections(detections, settings))
            self._keep_image(dataset, image_id, "eval", "detections", f"best {len(marks)} detections", marks)

    def wants_heatmap(self, image_id: int, branch: str) -> list[int]:
        """Return the class ids whose heat maps are asked for in an image; ``branch`` is ``eval`` or ``mining``."""
        settings = self.config.visualization[branch]
        if self.run.rank != 0 or not settings.show_class_heatmaps:
            return []
        pairs = zip(settings.images_for_heatmaps, settings.labels_for_heatmaps, strict=True)
        return [class_id for listed, class_id in pairs if listed == image_id]

    def class_heatmaps(
        self,
        dataset: DatasetOneShotDetection,
        image_id: int,
        batch: EvalBatch,
        index: int,
        matches_per_level: Sequence[Matches],
        class_ids: Sequence[int],
        cls_targets_per_level: Sequence[Tensor],
        branch: str = "eval",
    ) -> None:
        """Draw the scores of some classes in an image beside their targets (``show_class_heatmaps``).

        Args:
            dataset: the images.
            image_id: the image.
            batch: it is in.
            index: of the image in the batch.
            matches_per_level: (b, R, A) scores of R rows.
            class_ids: of the rows; a class seen in several views has several rows.
            cls_targets_per_level: (R, A) each.
            branch: ``eval`` or ``mining``.
        """
        for class_id in self.wants_heatmap(image_id, branch):
            rows = [row for row, of_row in enumerate(class_ids) if of_row == class_id]
            for view, row in enumerate(rows):
                levels = [
                    HeatLevel(
                        image=self._picture(image[index]),
                        stride=_stride(match.fm_size, size),
                        targets=_as_map(targets[row], match.fm_size),
                        scores=_as_map(match.class_scores[index, row], match.fm_size),
                    )
                    for image, size, match, targets in zip(
                        batch.levels, batch.level_sizes, matches_per_level, cls_targets_per_level, strict=True
                    )
                ]
                views, suffix = ("", "") if len(rows) == 1 else (f", view {view} of {len(rows)}", f"_view_{view}")
                figure = class_heat_maps(f"{dataset.name}, image {image_id}, class {class_id}{views}", levels)
                self._keep(f"{self._folder(dataset, branch)}/image_{image_id}_class_{class_id}{suffix}", figure)

    def mined_patches(self, dataset: DatasetOneShotDetection, image_id: int, patches: Sequence[MinedPatch]) -> None:
        """Draw an image with its boxes and with its patches (``mining.show_gt_boxes``, ``.show_mined_patches``).

        A patch is its crop in the colour of its role, its anchor and the class image as it was aligned.
        """
        settings = self.config.visualization.mining
        if not self.draws_image(dataset, image_id, "mining"):
            return
        if settings.show_gt_boxes:
            marks = ground_truth_marks(dataset.boxes(image_id))
            self._keep_image(dataset, image_id, "mining", "ground_truth", "ground truth", marks)
        if settings.show_mined_patches:
            best = sorted(patches, key=lambda patch: patch.score, reverse=True)
            shown = [patch for patch in best if patch.score > settings.score_threshold][: settings.max_detections]
            title = f"{len(shown)} of {len(patches)} mined patches"
            self._keep_image(dataset, image_id, "mining", "patches", title, [_patch_mark(p) for p in shown])

    def _draws_batch(self, flag: str, iteration: int) -> bool:
        if self.run.rank != 0 or not self.config.visualization.train[flag]:
            return False
        return iteration < PICTURED_BATCHES or iteration % self.config.eval.iter == 0

    def _keep_patch(
        self, batch: TrainBatch, index: int, iteration: int, kind: str, title: str, marks: Sequence[Mark]
    ) -> None:
        figure = annotated_image(f"{title}, step {iteration}", self._picture(batch.images[index]), marks)
        self._keep(f"train/{_step(iteration)}/image_{batch.image_ids[index]}_{kind}", figure)

    def _keep_image(
        self,
        dataset: DatasetOneShotDetection,
        image_id: int,
        branch: str,
        kind: str,
        title: str,
        marks: Sequence[Mark],
    ) -> None:
        figure = annotated_image(f"{dataset.name}, image {image_id}: {title}", dataset.load_image(image_id), marks)
        self._keep(f"{self._folder(dataset, branch)}/image_{image_id}_{kind}", figure)

    def _folder(self, dataset: DatasetOneShotDetection, branch: str) -> str:
        step = "" if self.iteration is None else f"/{_step(self.iteration)}"
        return f"{branch}/{dataset.name}{step}"

    def _keep(self, name: str, figure: Figure) -> None:
        path = self.run.artifact(f"pictures/{name}.png", figure)
        logger.debug("drew %s", path)

    def _picture(self, image_3hw: Tensor) -> Image.Image:
        model = self.config.model
        return to_image(image_3hw, model.normalization_mean, model.normalization_std)


def _value(config: CfgNode, key: str) -> object:
    return reduce(lambda node, name: node[name], key.split("."), config)


def _step(iteration: int) -> str:
    return f"step_{iteration:08d}"


def best_detections(detections: BoxList, settings: CfgNode) -> BoxList:
    """Return the detections to draw: the ``max_detections`` best ones above ``score_threshold``, best first."""
    shown = detections[detections.field("scores") > settings.score_threshold]
    scores = shown.field("scores")
    return shown[torch.topk(scores, min(settings.max_detections, len(scores))).indices]


def _patch_mark(patch: MinedPatch) -> Mark:
    return Mark(
        patch.crop_position_xyxy.boxes_xyxy[0].tolist(),
        f"{patch.role}, Cl {patch.label_global}: {patch.score:.4f}",
        colour=ROLE_COLOURS[patch.role],
        anchor_xyxy=patch.anchor_position_xyxy.boxes_xyxy[0].tolist(),
        corners=patch.transform_corners.tolist(),
    )


def _with_class_ids(boxes: BoxList, class_ids: Tensor) -> BoxList:
    """Return the boxes of a training patch with class ids for labels, without those outside the patch."""
    inside = boxes[boxes.field("labels") != CUT_OFF]
    labels = inside.field("labels")
    return inside.with_field("labels", torch.where(labels < 0, NOT_IN_BATCH, class_ids[labels.clamp(min=0)]))


def _labels_with_boxes_first(boxes: BoxList, num_labels: int) -> list[int]:
    present = [label for label in boxes.field("labels").unique().tolist() if label >= 0]
    return present + [label for label in range(num_labels) if label not in present]


def _gradient(scores: Tensor) -> Tensor | None:
    """Return the kept gradient of the loss with respect to scores; None where the loss does not use them."""
    return scores.grad if scores.is_leaf or scores.retains_grad else None


def _as_map(values_A: Tensor, fm_size: Size) -> NDArray[np.float64]:
    return values_A.detach().double().cpu().reshape(fm_size.h, fm_size.w).numpy()


def _stride(fm_size: Size, image_size: Size) -> int:
    """Return the pixels per cell: the power of two with which the map just covers the image."""
    stride = 1
    while fm_size.w * stride < image_size.w or fm_size.h * stride < image_size.h:
        stride *= 2
    return stride
