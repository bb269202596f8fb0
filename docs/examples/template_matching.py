"""Template matching, the oldest one-shot detector: a baseline in one file, from its task to `oneshot detect`.

    oneshot run docs/examples/compare_template_matching.py --launcher local

A window looks like a class where its pixels are the class image's, brighter or darker: where their normalised
cross-correlation is high (J. P. Lewis, Fast Normalized Cross-Correlation, 1995). Nothing is learned, nothing may lean.

Shapes: H x W image, S x S stored template, h x w template, N windows, V views of a class.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, pad
from torchvision.ops import nms
from torchvision.transforms.functional import to_tensor
from yacs.config import CfgNode

from os2d.data.catalog import data_root, find_dataset, is_known
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.data.fingerprint import dataset_fingerprint
from os2d.detector import Detection, Detector, LearnedClasses
from os2d.detector.box_list import best_first
from os2d.detector.detector import Look
from os2d.detector.kept_settings import merge_settings
from os2d.detector.networks import Checkpoint
from os2d.engine.average_precision import evaluate_detections
from os2d.engine.evaluation import Evaluation, metrics_by_name, times_by_name, voc_metrics
from os2d.engine.final_report import keep_results
from os2d.errors import ConfigError
from os2d.run import Run, Task
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

DEFAULTS = CfgNode(
    {
        "model": {
            "image_size": 160,  # images are seen with this longer side, in pixels
            "template_sizes": [24.0, 32.0, 40.0],  # square roots of the areas of templates, in those pixels
            "windows_per_size": 50,  # so many of the best windows are kept before suppression
        },
        "eval": {
            "dataset_names": ["shelf-val-old-cl", "shelf-val-new-cl"],
            "mAP_iou_thresholds": [0.5],
            "nms_iou_threshold": 0.3,
        },
        "runtime": {"data_root": ""},  # empty: $ONESHOT_DATA, else ./data
    }
)
STORED_SIDE = 64
MARK = "template_matching.settings"
"""The one name in our weights file, by which `oneshot detect` knows it."""


def match(image_3HW: Tensor, template_4SS: Tensor, model: CfgNode) -> tuple[Tensor, Tensor]:
    """Return the windows that look most like a class, N x 4, and how much they do, N values in [-1, 1]."""
    boxes, scores = [torch.zeros(0, 4)], [torch.zeros(0)]
    aspect = float(template_4SS[3, 0, 0])
    for size in model.template_sizes:
        h, w = max(round(size / sqrt(aspect)), 1), max(round(size * sqrt(aspect)), 1)
        if h > image_3HW.shape[1] or w > image_3HW.shape[2]:
            continue
        template_3hw = interpolate(template_4SS[None, :3], (h, w), mode="bilinear", antialias=True)[0]
        template_3hw = template_3hw - template_3hw.mean()
        products = correlate(image_3HW, template_3hw)
        mean = window_sums(image_3HW.sum(0), h, w) / template_3hw.numel()
        square_sum = window_sums(image_3HW.square().sum(0), h, w)
        deviation = (
            (square_sum - template_3hw.numel() * mean.square()).clamp(min=1e-3).sqrt()
        )  # an even window has none
        similarity = products / deviation.float() / template_3hw.norm().clamp(min=1e-3)
        best = similarity.flatten().topk(min(model.windows_per_size, similarity.numel()))
        top, left = best.indices // similarity.shape[1], best.indices % similarity.shape[1]
        boxes.append(torch.stack([left, top, left + w, top + h], dim=1).float())
        scores.append(best.values)
    return torch.cat(boxes), torch.cat(scores)


def correlate(image_3HW: Tensor, template_3hw: Tensor) -> Tensor:
    """Return the sum of products of the template with every window of the image, (H - h + 1) x (W - w + 1)."""
    (height, width), (h, w) = image_3HW.shape[1:], template_3hw.shape[1:]
    spectrum = torch.fft.rfft2(image_3HW) * torch.fft.rfft2(template_3hw, s=(height, width)).conj()
    return torch.fft.irfft2(spectrum.sum(0), s=(height, width))[: height - h + 1, : width - w + 1]


def window_sums(values_HW: Tensor, h: int, w: int) -> Tensor:
    """Return the sum of every window, (H - h + 1) x (W - w + 1), from the sums of all rectangles at the top left."""
    sums = pad(values_HW.double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    return sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]


def find(image: Image.Image, templates: Mapping[int, Tensor], config: CfgNode) -> BoxList:
    """Return what is found of all classes in an image, in its pixels; fields ``labels`` and ``scores``.

    Args:
        image: RGB.
        templates: class -> its views, V x 4 x S x S.
        config: the whole configuration tree.
    """
    size = Size.of_image(image)
    seen = image.resize(size.scaled(config.model.image_size / max(size)))
    image_3HW = to_tensor(seen)
    parts = []
    for label, views_V4SS in templates.items():
        found = [match(image_3HW, view_4SS, config.model) for view_4SS in views_V4SS]
        boxes, scores = (torch.cat(values) for values in zip(*found, strict=True))
        kept = nms(boxes, scores, config.eval.nms_iou_threshold)
        labels = torch.full((len(kept),), label)
        parts.append(BoxList(boxes[kept], Size.of_image(seen), {"labels": labels, "scores": scores[kept]}))
    return BoxList.cat(parts).resized(size)


def template_of(class_image: Image.Image) -> Tensor:
    """Return a class image as 4 x S x S: its colours, stretched to a square, and its width over its height."""
    colours_3SS = to_tensor(class_image.resize((STORED_SIDE, STORED_SIDE)))
    aspect_1SS = torch.full((1, STORED_SIDE, STORED_SIDE), class_image.width / class_image.height)
    return torch.cat([colours_3SS, aspect_1SS])


# The task: what planners ask of it, and the work.


def check(config: CfgNode) -> None:
    """Refuse values that cannot work, before anything starts.

    Raises:
        ConfigError: the message names the key, the value and what is allowed.
        DataError: there is no data set of this name.
    """
    if not all(size > 0 for size in (config.model.image_size, *config.model.template_sizes)):
        raise ConfigError(
            f"model: expected positive sizes, got {config.model.template_sizes} and an image_size of "
            f"{config.model.image_size}"
        )
    for name in config.eval.dataset_names:
        if not is_known(name):  # the files of a known one may lie on another machine
            find_dataset(name, data_root(config))


def fingerprints(config: CfgNode) -> dict[str, str]:
    """Return name -> hash of the data sets that are read."""
    return {name: dataset_fingerprint(name, data_root(config)) for name in config.eval.dataset_names}


def evaluate_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Evaluate on the data sets of ``eval``, and return the metrics by the names that all systems use."""
    evaluations = {}
    for name in config.eval.dataset_names:
        dataset = build_dataset(name, data_root(config))
        evaluations[dataset.name] = evaluate(dataset, config, run)
        keep_results(dataset.name, evaluations[dataset.name], run)
    metrics = metrics_by_name(evaluations)
    run.log({**metrics, **times_by_name(evaluations)}, 0)
    run.save({"model": {MARK: torch.tensor(config.model.template_sizes)}}, 0, name="model_final.pth")
    return metrics


def evaluate(dataset: DatasetOneShotDetection, config: CfgNode, run: Run) -> Evaluation:
    """Search every class of a data set in every image, and measure what was found by OS2D's VOC protocol."""
    start = time.perf_counter()
    templates = {class_id: template_of(dataset.class_image(class_id))[None] for class_id in dataset.class_ids}
    detections = []
    for done, image_id in enumerate(dataset.image_ids):
        if run.should_stop:
            run.interrupt()
        run.progress(done, len(dataset))
        detections.append(find(dataset.load_image(image_id), templates, config))
    truth = [dataset.boxes(image_id) for image_id in dataset.image_ids]
    per_class = evaluate_detections(detections, truth, config.eval.mAP_iou_thresholds)
    metrics, seconds = OrderedDict(voc_metrics(per_class)), time.perf_counter() - start
    return Evaluation(metrics, seconds, dataset.image_ids, detections, truth, per_class)


task = Task(
    function=f"{__name__}:evaluate_task",
    default_config=DEFAULTS.clone,
    code_version="1",
    validate=check,
    fingerprints=fingerprints,
    seed_key="",  # nothing here is random
    neutral_keys=("runtime.",),
)


# The detector: what `oneshot detect`, `oneshot serve` and `os2d.Detector` ask of it.


class TemplateMatcher(Detector):
    """Template matching for single images.

    Args:
        config: the whole configuration tree.
        weights: the file that says so.
    """

    name = "template matching"
    default_threshold = 0.6

    def __init__(self, config: CfgNode, weights: Path) -> None:
        self.config, self.weights = config, weights
        self.default_scales = (float(config.model.image_size),)  # of the longer side

    @staticmethod
    def recognises(keys: Collection[str]) -> bool:
        """Tell whether weights of these names are ours."""
        return MARK in keys

    @classmethod
    def load(cls, checkpoint: Checkpoint, overrides: Mapping[str, Any], device: torch.device) -> TemplateMatcher:
        """Return the matcher of a checkpoint, set as in its trial; it works on the CPU, whatever the device."""
        config = DEFAULTS.clone()
        told = {"model.template_sizes": checkpoint.weights[MARK].tolist()}
        merge_settings(config, checkpoint.path, lambda: told, overrides)
        check(config)
        return cls(config, checkpoint.path)

    @property
    def network(self) -> object:
        """Whose features our features are."""
        return self

    def _learn(self, views: Mapping[str, Sequence[Image.Image]]) -> LearnedClasses:
        features = tuple(torch.stack([template_of(image) for image in images]) for images in views.values())
        return LearnedClasses(tuple(views), features, self.network)

    def _detect(self, looks: Sequence[Look]) -> list[list[Detection]]:
        return [self._detect_one(look) for look in looks]

    def _detect_one(self, look: Look) -> list[Detection]:
        found = []
        for scale in look.scales or self.default_scales:
            config = self.config.clone()
            config.model.image_size = round(scale)
            found.append(find(look.image, dict(enumerate(look.classes.features)), config))
        return best_first(BoxList.cat(found), look.classes.names, look)
