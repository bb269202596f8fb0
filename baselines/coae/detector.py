"""CoAE for single images, by the steps of its evaluation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from yacs.config import CfgNode

from baselines.coae.config import default_config
from baselines.coae.config_check import check_values
from baselines.coae.data.eval_images import eval_image, query_views
from baselines.coae.engine.detection import DetectionRule, detect_in_levels
from baselines.coae.modeling.matching import Matcher, QueryFeatures
from baselines.coae.modeling.model import CoAE, build_coae
from baselines.coae.modeling.weights import load_init_model
from os2d.detector.box_list import best_first
from os2d.detector.detector import Detector, Look
from os2d.detector.kept_settings import merge_settings
from os2d.detector.learned_classes import LearnedClasses
from os2d.detector.networks import Checkpoint
from os2d.structures.boxes import BoxList
from os2d.structures.detection import Detection
from os2d.structures.sizes import Size

MATCHING = "match_net."
"""How names begin that only CoAE has."""

NETS = {(2, False): "res18", (6, False): "res34", (6, True): "res50", (23, True): "res101"}
"""Blocks of the third stage, and whether they are bottlenecks -> ``model.net``."""


class CoAEDetector(Detector):
    """CoAE.

    Args:
        model: the network, on its device.
        config: the whole configuration tree.
        weights: the file they came from.
    """

    name = "CoAE"
    default_threshold = 0.5

    def __init__(self, model: CoAE, config: CfgNode, weights: Path) -> None:
        self.matcher, self.config, self.weights = Matcher(model), config, weights
        self.rule = DetectionRule.from_config(config)
        self.default_scales = tuple(float(scale) for scale in config.eval.scales)  # of the shorter side

    @staticmethod
    def recognises(keys: Collection[str]) -> bool:
        """Tell whether weights of these names are of a whole CoAE."""
        return any(key.startswith(MATCHING) for key in keys)

    @classmethod
    def load(cls, checkpoint: Checkpoint, overrides: Mapping[str, Any], device: torch.device) -> CoAEDetector:
        """Return the network of a checkpoint; see :meth:`Detector.from_checkpoint`."""
        return cls.from_config(configuration(checkpoint, overrides), checkpoint.path, device)

    @classmethod
    def from_config(cls, config: CfgNode, weights: Path, device: torch.device) -> CoAEDetector:
        """Return the network of a weights file as a configuration describes it.

        Raises:
            CheckpointError: the file is missing, unreadable or of another network.
        """
        model = build_coae(config, torch.Generator().manual_seed(config.random_seed))
        load_init_model(model, weights)
        return cls(model.to(device), config, weights)

    @property
    def network(self) -> object:
        """What makes features of class images."""
        return self.matcher

    def _learn(self, views: Mapping[str, Sequence[Image.Image]]) -> LearnedClasses:
        size, augmentation = self.config.model.query_size, self.config.eval.class_image_augmentation
        of_class = [
            torch.cat([query_views(image, size, augmentation) for image in images]) for images in views.values()
        ]
        learned = self.matcher.learn(torch.cat(of_class)).features_QChw
        return LearnedClasses(tuple(views), learned.split([len(queries) for queries in of_class]), self.network)

    def _detect(self, looks: Sequence[Look]) -> list[list[Detection]]:
        return [self._detect_one(look) for look in looks]

    def _detect_one(self, look: Look) -> list[Detection]:
        image = eval_image(look.image, look.scales or self.config.eval.scales, _nothing_annotated(look.image))
        levels = [self.matcher.see(level_3hw) for level_3hw in image.levels]
        rule = replace(self.rule, score_threshold=look.threshold)
        parts = [
            detect_in_levels(self.matcher, levels, image, QueryFeatures(group.features), group.classes, rule)
            for group in look.classes.groups
        ]
        return best_first(BoxList.cat(parts), look.classes.names, look)


def configuration(checkpoint: Checkpoint, overrides: Mapping[str, Any]) -> CfgNode:
    """Return how a network is set: as its training was, else as its weights and the defaults say; then overrides.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    config = default_config()
    merge_settings(config, checkpoint.path, partial(told_by, checkpoint.weights), overrides)
    check_values(config)
    config.freeze()
    return config


def told_by(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the keys that the weights of a network tell."""
    blocks = {key.split(".")[2] for key in weights if key.startswith("RCNN_base.6.")}
    net = NETS.get((len(blocks), "RCNN_base.6.0.conv3.weight" in weights))
    has_group_norm = "RCNN_base.1.weight" in weights and "RCNN_base.1.running_mean" not in weights
    return {**({"model.net": net} if net else {}), "model.group_norm": has_group_norm}


def _nothing_annotated(image: Image.Image) -> BoxList:
    labels = torch.zeros(0, dtype=torch.int64)
    return BoxList(torch.zeros(0, 4), Size.of_image(image), {"labels": labels, "difficult": labels.bool()})
