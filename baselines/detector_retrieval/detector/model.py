"""The detector: pyramid, proposals, second stage.

Shapes: B images, 3 colour channels, h x w pixels of one image, N proposals of an image, C classes with the background.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d
from yacs.config import CfgNode

from baselines.detector_retrieval.detector.backbone import Backbone
from baselines.detector_retrieval.detector.box_head import BoxHead
from baselines.detector_retrieval.detector.images import ImageBatch, PixelUnits, to_batch
from baselines.detector_retrieval.detector.postprocess import ClassBoxes, DetectionFilter, class_boxes
from baselines.detector_retrieval.detector.rpn import Rpn
from baselines.detector_retrieval.detector.structures import Detections, Objects, Proposals
from os2d.errors import ConfigError


class Detector(nn.Module):
    """Faster R-CNN; names of the parameters are those of published checkpoints."""

    def __init__(self, config: CfgNode, num_classes: int) -> None:
        super().__init__()
        model = config.MODEL
        self.backbone = Backbone(model)
        self.rpn = Rpn(model)
        with torch.device("meta"):
            self.roi_heads = nn.ModuleDict({"box": BoxHead(model, num_classes)})
        self.units = PixelUnits.from_config(config)
        self.filter = DetectionFilter.from_config(config)
        self.divisor = config.DATALOADER.SIZE_DIVISIBILITY

    @property
    def box_head(self) -> BoxHead:
        """The second stage."""
        head = self.roi_heads["box"]
        assert isinstance(head, BoxHead)
        return head

    def losses(self, batch: ImageBatch, objects: Sequence[Objects], generator: torch.Generator) -> dict[str, Tensor]:
        """Return the four losses of a batch; the generator draws anchors, then proposals, image by image."""
        features = self.backbone(batch.images_B3HW)
        levels, anchors = self.rpn(features)
        with torch.no_grad():
            proposals = self.rpn.train_selector.of_batch(levels, anchors, batch.sizes)
        rpn_losses = self.rpn.losses(levels, anchors, batch.sizes, objects, generator)
        boxes = [of_image.boxes_N4 for of_image in proposals]
        return {**rpn_losses, **self.box_head.losses(features, boxes, objects, generator)}

    @torch.no_grad()
    def class_boxes(self, batch: ImageBatch) -> list[ClassBoxes]:
        """Return the boxes of every image for every class, cut to the image."""
        features = self.backbone(batch.images_B3HW)
        levels, anchors = self.rpn(features)
        proposals = self.rpn.test_selector.of_each_image(levels, anchors, batch.sizes)
        boxes = [of_image.boxes_N4 for of_image in proposals]
        logits_RC, codes_RC4 = self.box_head(features, boxes)
        counts = [len(of_image) for of_image in boxes]
        of_images = zip(logits_RC.split(counts), codes_RC4.split(counts), boxes, batch.sizes, strict=True)
        return [class_boxes(self.box_head.coder, *of_image) for of_image in of_images]

    def forward(self, batch: ImageBatch) -> list[Detections]:
        """Return the detections of normalised images."""
        return [self.filter(found.boxes_NC4, found.scores_NC) for found in self.class_boxes(batch)]

    def to_batch(self, images_3hw: Sequence[Tensor]) -> ImageBatch:
        """Return RGB images of 0 to 1 as the network takes them."""
        return to_batch([self.units.normalise(image) for image in images_3hw], self.divisor)

    def propose(self, images_3hw: Sequence[Tensor]) -> list[Proposals]:
        """Return what may be an object in each of some RGB images of 0 to 1, in pixels of the image."""
        if not images_3hw:
            return []
        found = self(self.to_batch(images_3hw))
        return [Proposals(detections.boxes_N4, detections.scores_N) for detections in found]


def build_detector(config: CfgNode, num_classes: int | None = None) -> Detector:
    """Return a detector with random weights, derived from ``random_seed``.

    Args:
        config: the whole tree.
        num_classes: with the background; None: what ``MODEL.ROI_BOX_HEAD.NUM_CLASSES`` says.

    Raises:
        ConfigError: only the training set knows how many classes there are.
    """
    wanted = config.MODEL.ROI_BOX_HEAD.NUM_CLASSES
    if num_classes is None and wanted < 0:
        raise ConfigError(
            "MODEL.ROI_BOX_HEAD.NUM_CLASSES: -1 stands for the classes of a training set, and there is none here; "
            "give the number of classes with the background"
        )
    detector = Detector(config, num_classes or wanted or 2)
    generator = torch.Generator().manual_seed(config.random_seed)
    for part in (detector.backbone, detector.rpn.head, detector.roi_heads):
        part.to_empty(device="cpu")
    _initialise(detector, generator)
    return detector


def _initialise(detector: Detector, generator: torch.Generator) -> None:
    """Set every parameter the way maskrcnn-benchmark does, and the body's the way torchvision does."""
    for module in detector.backbone.body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.GroupNorm):
            module.reset_parameters()
        elif isinstance(module, FrozenBatchNorm2d):
            for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
                module.get_buffer(name).fill_(value)
    extractor, predictor = detector.box_head.feature_extractor, detector.box_head.predictor
    for layer in _unbiased_layers(detector.backbone.fpn, extractor):
        nn.init.kaiming_uniform_(layer.weight, a=1, generator=generator)
    for layer in _unbiased_layers(detector.rpn.head, predictor):
        std = 0.001 if layer is predictor.bbox_pred else 0.01
        nn.init.normal_(layer.weight, std=std, generator=generator)


def _unbiased_layers(*parts: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    """Return the layers of some parts, their biases set to zero."""
    layers = [layer for part in parts for layer in part.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers:
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    return layers
