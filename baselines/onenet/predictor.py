"""A trained network for single pictures, as other programs want it."""

from __future__ import annotations

import torch
from PIL import Image
from yacs.config import CfgNode

from baselines.onenet.data.sample import resized_for_test
from baselines.onenet.engine.device import prepare_device
from baselines.onenet.modeling.model import build_model
from baselines.onenet.modeling.weights import HEAD, load_init_model, read_detector_weights
from baselines.onenet.structures import Detections
from baselines.onenet.weights_path import find_weights
from os2d.data.normalisation import to_bytes
from os2d.errors import CheckpointError, ConfigError
from os2d.structures.sizes import Size


class Predictor:
    """The network of ``MODEL.WEIGHTS``: picture -> what is in it.

    Args:
        config: the whole configuration tree.

    Raises:
        ConfigError: no weights are given.
        CheckpointError: they are missing, unreadable, of another network, or of a backbone alone.
    """

    def __init__(self, config: CfgNode) -> None:
        if not config.MODEL.WEIGHTS:
            raise ConfigError("MODEL.WEIGHTS: expected a trained detector, got nothing; a random one finds nothing")
        self.config = config
        path = find_weights(config.MODEL.WEIGHTS)
        if not any(key.startswith(HEAD) for key in read_detector_weights(path)):
            raise CheckpointError(
                f"MODEL.WEIGHTS: {path} holds a backbone alone, with which nothing is found; name a trained detector, "
                "such as model_final.pth of a training"
            )
        device = prepare_device(config)
        self.model = build_model(config)
        load_init_model(self.model, path)
        self.model.to(device).eval()

    @torch.no_grad()
    def __call__(self, picture: Image.Image, threshold: float = 0.0, shorter_side: int | None = None) -> Detections:
        """Return what was found with a score above the threshold, in pixels of the picture, on the CPU.

        Args:
            picture: RGB.
            threshold: of the score.
            shorter_side: at which the network sees the picture, in place of ``INPUT.MIN_SIZE_TEST``.
        """
        config = self.config
        if shorter_side is not None:
            config = config.clone()
            config.defrost()
            config.INPUT.MIN_SIZE_TEST = shorter_side
        pixels = to_bytes(resized_for_test(picture, config))
        found = self.model([pixels], output_sizes=[Size.of_image(picture)])
        assert isinstance(found, list)
        detections: Detections = found[0].to("cpu")
        return detections[detections.scores_N > threshold]
