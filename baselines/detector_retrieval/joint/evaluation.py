"""The joint evaluation: proposals, their descriptors, and the classes whose pictures look alike.

Features of an image are computed once per scale, descriptors of classes once per data set; a box meets all classes in
one product. Shapes: b images of one size, N boxes, C classes, V views, D channels.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from yacs.config import CfgNode

from baselines.detector_retrieval.joint.images import JointBatch, build_joint_loader, pixels_of, to_pixels
from baselines.detector_retrieval.joint.matching import ClassDescriptors, Suppression, detections
from baselines.detector_retrieval.joint.patches import cut_patches, views_of_class_image, whole_corners
from baselines.detector_retrieval.joint.proposals import Proposer, merge, propose
from baselines.detector_retrieval.retrieval.descriptors import (
    EVALUATION_SCALES,
    ONE_SCALE,
    describe_by_size,
    to_whole_size,
)
from baselines.detector_retrieval.retrieval.network import RetrievalNetwork
from baselines.detector_retrieval.retrieval.whitening import Whitening
from os2d.data.dataset import DatasetOneShotDetection
from os2d.distributed import rank
from os2d.engine.average_precision import evaluate_detections
from os2d.engine.evaluation import Evaluation, EvaluationSet, save_detections, voc_metrics
from os2d.engine.pictures import Pictures
from os2d.engine.sharding import gather_shares, my_share
from os2d.metric_names import EVALUATION_TIME
from os2d.run import Run
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retriever:
    """How a picture becomes a descriptor.

    Args:
        network: in evaluation mode.
        image_size: pictures are resized to the area of this number squared.
        multiscale: whether descriptors are averaged over several scales.
        whitening: applied after the network, if any.
        patches_at_once: so many crops of an image are in memory together.
    """

    network: RetrievalNetwork
    image_size: int
    multiscale: bool
    whitening: Whitening | None = None
    patches_at_once: int = 256

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def describe(self, pictures: Sequence[Tensor]) -> Tensor:
        """Return the descriptors of pictures of 0 to 1, before any whitening, N x D."""
        description = self.network.description
        mean, std = (torch.tensor(v, device=self.device).view(3, 1, 1) for v in (description.mean, description.std))
        scales = EVALUATION_SCALES if self.multiscale else ONE_SCALE
        normalised = [(picture - mean) / std for picture in pictures]
        return describe_by_size(self.network, normalised, scales, to_whole_size)

    def describe_boxes(self, image_3hw: Tensor, boxes: BoxList) -> tuple[BoxList, Tensor]:
        """Return the boxes that have a pixel of an image of 0 to 1, and the descriptors of what they show, N x D."""
        corners = whole_corners(boxes.boxes_xyxy, boxes.size)
        parts, numbers = [], []
        for start in range(0, len(corners), self.patches_at_once):
            patches, kept = cut_patches(image_3hw, corners[start : start + self.patches_at_once], self.image_size)
            parts.append(self.describe(patches))
            numbers += [start + number for number in kept]
        vectors_ND = torch.cat(parts) if parts else self.describe([])
        if len(numbers) < len(boxes):
            logger.warning("%d of %d boxes hold no pixel of their image", len(boxes) - len(numbers), len(boxes))
        return boxes[torch.tensor(numbers, dtype=torch.int64, device=boxes.boxes_xyxy.device)], vectors_ND

    def whitened(self, vectors_ND: Tensor) -> Tensor:
        """Return descriptors after the whitening, if there is one."""
        return vectors_ND if self.whitening is None else self.whitening(vectors_ND)

    def describe_classes(self, dataset: DatasetOneShotDetection, views: str) -> ClassDescriptors:
        """Return the descriptors of every view of every class image of a data set."""
        pictures: list[Tensor] = []
        for class_id in dataset.class_ids:
            class_image = pixels_of(dataset.class_image(class_id)).to(self.device)
            pictures += views_of_class_image(class_image, self.image_size, views)
        vectors_LD = self.whitened(self.describe(pictures))
        class_ids = torch.tensor(dataset.class_ids)
        return ClassDescriptors(class_ids, vectors_LD.view(len(class_ids), -1, vectors_LD.shape[1]))


@dataclass(frozen=True)
class Scene:
    """What stays the same over the images of a data set."""

    proposer: Proposer
    retriever: Retriever
    classes: ClassDescriptors
    config: CfgNode

    @torch.no_grad()
    def detect(self, batch: JointBatch) -> list[BoxList]:
        """Return the detections of every image of a batch, on the CPU."""
        device = self.retriever.device
        size = Size.of_tensor(batch.images)
        levels = [level.to(device, non_blocking=True) for level in batch.levels]
        images = zip(batch.images, propose(self.proposer, levels, size), strict=True)
        return [self._detect_in(to_pixels(image.to(device)), proposals).to("cpu") for image, proposals in images]

    def _detect_in(self, image_3hw: Tensor, proposals: BoxList) -> BoxList:
        joint, eval_ = self.config.joint, self.config.eval
        merged = merge(proposals, joint.nms_iou_threshold, joint.nms_score_threshold)
        boxes, vectors_ND = self.retriever.describe_boxes(image_3hw, merged)
        boxes = replace(boxes, fields={})  # the detector's score has done its work
        scores_CN = self.classes.scores(self.retriever.whitened(vectors_ND))
        suppression = Suppression(eval_.nms_iou_threshold, eval_.nms_score_threshold, eval_.nms_across_classes)
        return detections(boxes, scores_CN, self.classes.class_ids, suppression)


class _EvaluatedImage(NamedTuple):
    image_id: int
    ground_truth: BoxList
    detections: BoxList


def evaluate_joint(
    proposer: Proposer, retriever: Retriever, sets: Sequence[EvaluationSet], config: CfgNode, run: Run
) -> OrderedDict[str, Evaluation]:
    """Return the evaluation of every data set by its name."""
    return OrderedDict((s.dataset.name, evaluate_dataset(proposer, retriever, s, config, run)) for s in sets)


def evaluate_dataset(
    proposer: Proposer, retriever: Retriever, evaluated: EvaluationSet, config: CfgNode, run: Run
) -> Evaluation:
    """Return the evaluation of one data set; processes share the images, and each returns the whole.

    Between images it looks whether the run should stop. The detections are written to
    ``visualization.eval.path_to_save_detections``, if it is set.

    Args:
        proposer: the detector, in evaluation mode.
        retriever: tells its boxes apart.
        evaluated: the data set.
        config: the whole configuration tree.
        run: asked whether to stop, and given the pictures that ``visualization.eval`` asks for.
    """
    start = time.perf_counter()
    dataset = evaluated.dataset
    classes = retriever.describe_classes(dataset, config.eval.class_image_augmentation)
    scene, pictures = Scene(proposer, retriever, classes, config), Pictures(config, run)
    mine: list[list[_EvaluatedImage]] = []
    for batch in build_joint_loader(dataset, config, evaluated.dataset_scale, share=my_share):
        if run.should_stop:
            run.interrupt()
        of_batch = zip(batch.image_ids, batch.boxes, scene.detect(batch), strict=True)
        mine.append([_EvaluatedImage(*image) for image in of_batch])
        for image in mine[-1]:
            pictures.evaluated_image(dataset, *image)
    images = [image for of_batch in gather_shares(mine) for image in of_batch]
    truth, found = [image.ground_truth for image in images], [image.detections for image in images]
    per_class = evaluate_detections(found, truth, config.eval.mAP_iou_thresholds)
    metrics = OrderedDict(voc_metrics(per_class))
    seconds = time.perf_counter() - start
    evaluation = Evaluation(metrics, seconds, [image.image_id for image in images], found, truth, per_class)
    if rank() == 0:
        logger.info("Evaluated on %s, scale %s", dataset.name, evaluated.dataset_scale)
        logger.info(" ".join(f"{name} {value:.4f}," for name, value in {**metrics, EVALUATION_TIME: seconds}.items()))
        if config.visualization.eval.path_to_save_detections:
            save_detections(evaluation, dataset.name, Path(config.visualization.eval.path_to_save_detections))
    return evaluation
