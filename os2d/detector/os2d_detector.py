"""OS2D for single images, by the steps of its evaluation.

Legend: b images of one size, L head rows (classes times views), D channels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from yacs.config import CfgNode

from os2d.config import default_config
from os2d.config_check import check_value
from os2d.config_reading import leaves
from os2d.data.eval_loader import EvalBatch, eval_batch, views_of_class_image
from os2d.detector.box_list import best_first
from os2d.detector.detector import Detector, Look
from os2d.detector.kept_settings import BRANCHES, merge_settings
from os2d.detector.learned_classes import LearnedClasses
from os2d.detector.networks import Checkpoint
from os2d.engine.detection import (
    CLASS_IMAGES_AT_ONCE,
    ClassHeads,
    detections_of_rows,
    join_classes,
    match_features_in_chunks,
)
from os2d.modeling.checkpoint import load_init_model
from os2d.modeling.head import Heads
from os2d.modeling.network import Os2d, build_os2d
from os2d.modeling.network_description import configuration_of
from os2d.modeling.network_keys import IMAGE_BRANCH, TRANSFORM_LINEAR
from os2d.structures.boxes import BoxList
from os2d.structures.detection import Detection
from os2d.structures.sizes import Size

BATCHED_PIXELS = 4_000_000
"""Images of one size go through the backbone together until all their levels have so many pixels."""


class Os2dDetector(Detector):
    """OS2D.

    Args:
        model: the network, on its device.
        config: the whole configuration tree.
        weights: the file they came from.
    """

    name = "OS2D"
    default_threshold = 0.45  # that of the published demonstration

    def __init__(self, model: Os2d, config: CfgNode, weights: Path) -> None:
        self.model, self.config, self.weights = model.eval(), config, weights
        self.device = next(model.parameters()).device
        self.pyramid = tuple(config.eval.scales_of_image_pyramid)
        self.dataset_scale = float(config.eval.dataset_scales[0])
        self.default_scales = tuple(scale * self.dataset_scale for scale in self.pyramid)  # of the longer side

    @staticmethod
    def recognises(keys: Collection[str]) -> bool:
        """Tell whether weights of these names are of a whole OS2D network."""
        return TRANSFORM_LINEAR[0] in keys and any(key.startswith(IMAGE_BRANCH) for key in keys)

    @classmethod
    def load(cls, checkpoint: Checkpoint, overrides: Mapping[str, Any], device: torch.device) -> Os2dDetector:
        """Return the network of a checkpoint; see :meth:`Detector.from_checkpoint`."""
        config = configuration(checkpoint, overrides)
        model = build_os2d(config)
        load_init_model(model, checkpoint.path)
        return cls(model.to(device), config, checkpoint.path)

    @property
    def network(self) -> object:
        """What makes features of class images."""
        return self.model

    @torch.no_grad()
    def _learn(self, views: Mapping[str, Sequence[Image.Image]]) -> LearnedClasses:
        of_class = [
            [tensor for image in images for tensor in views_of_class_image(image, self.config)]
            for images in views.values()
        ]
        rows = [tensor.to(self.device) for tensors in of_class for tensor in tensors]
        heads = Heads.cat([self.model.make_heads(part) for part in _parts(rows)])
        features = heads.templates.split([len(tensors) for tensors in of_class])
        return LearnedClasses(tuple(views), features, self.network)

    @torch.no_grad()
    def _detect(self, looks: Sequence[Look]) -> list[list[Detection]]:
        alike: dict[tuple[Size, tuple[float, ...]], list[int]] = {}
        for k, look in enumerate(looks):
            size = Size.of_image(look.image)
            alike.setdefault((size, self._factors(size, look.scales)), []).append(k)
        found: dict[int, list[Detection]] = {}
        for (size, factors), positions in alike.items():
            pixels = sum(level.w * level.h for level in map(size.scaled, factors))
            step = max(1, BATCHED_PIXELS // pixels)
            for start in range(0, len(positions), step):
                part = positions[start : start + step]
                of_part = self._detect_alike([looks[k] for k in part], factors)
                found |= dict(zip(part, of_part, strict=True))
        return [found[k] for k in range(len(looks))]

    def _factors(self, size: Size, scales: Sequence[float] | None) -> tuple[float, ...]:
        """Return the factors of the pyramid, computed as in an evaluation: rounding decides the sizes of the levels."""
        longer = max(size)
        if scales is None:
            return tuple(scale * (self.dataset_scale / longer) for scale in self.pyramid)
        return tuple(scale / longer for scale in scales)

    def _detect_alike(self, looks: Sequence[Look], factors: Sequence[float]) -> list[list[Detection]]:
        """Return what is found in images of one size that are seen at the same scales."""
        model = self.config.model
        batch = eval_batch(
            range(len(looks)),
            [look.image for look in looks],
            [],
            factors,
            model.normalization_mean,
            model.normalization_std,
        )
        features = [self.model.extract_features(level.to(self.device)) for level in batch.levels]
        same_classes: dict[int, list[int]] = {}
        for k, look in enumerate(looks):
            same_classes.setdefault(id(look.classes), []).append(k)
        found: dict[int, list[Detection]] = {}
        for images in same_classes.values():
            of_images = self._match(batch, images, features, [looks[k] for k in images])
            found |= dict(zip(images, of_images, strict=True))
        return [found[k] for k in range(len(looks))]

    def _match(
        self, batch: EvalBatch, images: list[int], features: Sequence[Tensor], looks: Sequence[Look]
    ) -> list[list[Detection]]:
        """Return what is found of the same classes in some images of a batch."""
        batch = replace(batch, image_ids=images)
        if len(images) < len(features[0]):
            features = [level[images] for level in features]
        classes = looks[0].classes
        config = self._with_threshold(min(look.threshold for look in looks))
        parts: list[list[BoxList]] = []
        for group in classes.groups:
            class_heads = ClassHeads(list(group.classes), group.views, Heads(group.features))
            for matched in match_features_in_chunks(self.model, features, class_heads, config.runtime.head_memory_mb):
                parts.append(detections_of_rows(self.model, batch, matched, class_heads, config, with_alignment=True))
        joined = [join_classes(of_image, config) for of_image in zip(*parts, strict=True)]
        return [best_first(found, classes.names, look) for found, look in zip(joined, looks, strict=True)]

    def _with_threshold(self, threshold: float) -> CfgNode:
        """Return the configuration with the score that detections must exceed."""
        config = self.config.clone()
        config.defrost()
        config.eval.nms_score_threshold = threshold
        return config


def configuration(checkpoint: Checkpoint, overrides: Mapping[str, Any]) -> CfgNode:
    """Return how a network is set: as its training was, else as its weights and the defaults say; then overrides.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    config = default_config()
    told = partial(configuration_of, checkpoint.weights, checkpoint.path)
    merge_settings(config, checkpoint.path, told, overrides)
    for branch in BRANCHES:
        for key, value in leaves(config[branch], f"{branch}."):
            check_value(key, value)
    config.freeze()
    return config


def _parts(rows: Sequence[Tensor]) -> Iterator[Sequence[Tensor]]:
    """Yield so many class images that their feature maps fit into memory together."""
    for start in range(0, len(rows), CLASS_IMAGES_AT_ONCE):
        yield rows[start : start + CLASS_IMAGES_AT_ONCE]
