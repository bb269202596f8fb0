"""OneNet for single images, by its predictor."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from yacs.config import CfgNode

from baselines.onenet.config import default_config
from baselines.onenet.config_file import PUBLISHED, read_config
from baselines.onenet.data.class_names import class_names
from baselines.onenet.drawing import named
from baselines.onenet.modeling.model import lay_out_model
from baselines.onenet.modeling.weights import HEAD
from baselines.onenet.predictor import Predictor
from os2d.config_reading import set_value
from os2d.detector.class_images import ClassImages
from os2d.detector.detector import Detector, Look
from os2d.detector.kept_settings import TRIAL, kept_values, merge_values, settings_file
from os2d.detector.learned_classes import LearnedClasses
from os2d.detector.networks import Checkpoint
from os2d.errors import CheckpointError, ConfigError
from os2d.modeling.key_comparison import compare_keys, shapes_of
from os2d.structures.detection import Detection

CLASS_SCORES = "head.cls_score.bias"
"""A weight of which a network of one level has as many numbers as classes."""


class OneNetDetector(Detector):
    """OneNet, which finds the classes it was trained on.

    Args:
        config: the whole configuration tree, with ``MODEL.WEIGHTS`` and ``MODEL.DEVICE``.
        weights: the file they came from.
    """

    name = "OneNet"
    default_threshold = 0.5

    def __init__(self, config: CfgNode, weights: Path) -> None:
        self.predictor, self.weights = Predictor(config), weights
        self.names = class_names(config)
        self.class_names = self.names
        self.default_scales = (float(config.INPUT.MIN_SIZE_TEST),)  # of the shorter side

    @staticmethod
    def recognises(keys: Collection[str]) -> bool:
        """Tell whether weights of these names are of a whole OneNet."""
        starts = {key.partition(".")[0] for key in keys}
        return {HEAD.removesuffix("."), "backbone"} <= starts

    @classmethod
    def load(cls, checkpoint: Checkpoint, overrides: Mapping[str, Any], device: torch.device) -> OneNetDetector:
        """Return the network of a checkpoint; see :meth:`Detector.from_checkpoint`."""
        config = configuration(checkpoint)
        merge_values(config, {**overrides, "MODEL.WEIGHTS": str(checkpoint.path), "MODEL.DEVICE": device.type})
        config.freeze()
        return cls(config, checkpoint.path)

    @property
    def network(self) -> object:
        """What the classes belong to."""
        return self.predictor.model

    def learn(self, class_images: ClassImages) -> LearnedClasses:
        """Return some of ``class_names`` as what to look for.

        Raises:
            ConfigError: the network was not trained to find one of them.
        """
        wanted = [class_images] if isinstance(class_images, str) else list(class_images)
        for name in wanted:
            if name not in self.names:
                close = get_close_matches(str(name), self.names, n=1)
                raise ConfigError(
                    f"class {name!r}: {self.name} finds the classes it was trained on by their names"
                    + (f"; did you mean {close[0]!r}?" if close else f": {', '.join(self.names)}")
                )
        return self._learn({str(name): () for name in wanted})

    def _learn(self, views: Mapping[str, Sequence[Image.Image]]) -> LearnedClasses:
        return LearnedClasses(tuple(views), tuple(torch.empty(0) for _ in views), self.network)

    def _detect(self, looks: Sequence[Look]) -> list[list[Detection]]:
        return [self._detect_one(look) for look in looks]

    def _detect_one(self, look: Look) -> list[Detection]:
        if look.scales is not None and len(look.scales) > 1:
            raise ConfigError(f"scales: {self.name} sees an image at one size, got {list(look.scales)}")
        shorter_side = None if look.scales is None else round(look.scales[0])
        found = named(self.predictor(look.image, look.threshold, shorter_side), self.names)
        return [one for one in found if one.label in look.classes.names][: look.max_detections]


def configuration(checkpoint: Checkpoint) -> CfgNode:
    """Return the configuration of the training, if it lies beside the file, else the published one that fits.

    Raises:
        ConfigError: a key or a value is wrong.
        CheckpointError: no published configuration builds such a network.
    """
    kept = settings_file(checkpoint.path)
    if kept is None:
        return _published(checkpoint)
    if kept.name != TRIAL:
        return _thawed(read_config(kept))
    config = default_config()
    for key, value in kept_values(kept):
        set_value(config, key, value, f" ({kept})")
    return config


def _published(checkpoint: Checkpoint) -> CfgNode:
    for file in sorted(PUBLISHED.glob("onenet.*.yaml")):
        config = _thawed(read_config(file))
        if CLASS_SCORES in checkpoint.weights:
            config.MODEL.OneNet.NUM_CLASSES = len(checkpoint.weights[CLASS_SCORES])
        if not compare_keys(checkpoint.weights, shapes_of(lay_out_model(config).state_dict())):
            return config
    raise CheckpointError(
        f"{checkpoint.path}: fits no published configuration of OneNet; put the config.yaml of its training beside it"
    )


def _thawed(config: CfgNode) -> CfgNode:
    config.defrost()
    return config
