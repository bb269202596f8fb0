"""OneNet: images to objects in one pass (arXiv 2012.05780).

Shapes: B images, H x W pixels of the padded batch, K classes, L locations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from baselines.onenet.modeling.backbone import ResNet, build_resnet
from baselines.onenet.modeling.folding import fold_norms
from baselines.onenet.modeling.fpn import FeaturePyramid, build_fpn
from baselines.onenet.modeling.heads import build_head
from baselines.onenet.modeling.inference import Selection, detect
from baselines.onenet.modeling.initialisation import initialise
from baselines.onenet.modeling.losses import Criterion
from baselines.onenet.modeling.mobilenet import MobileNet, build_mobilenet
from baselines.onenet.modeling.predictions import Predictions
from baselines.onenet.structures import Detections, HeadOutput, Targets
from os2d.choices import choose
from os2d.modeling.folding import uses_batch_statistics
from os2d.modeling.precision import FORMATS
from os2d.modeling.weight_cache import WeightCache
from os2d.structures.sizes import Size

DIVISIBILITY = 32
"""Sides of a batch are multiples of this, whatever the backbone."""

BACKBONES: Mapping[str, Callable[[CfgNode], ResNet | FeaturePyramid | MobileNet]] = {
    "build_resnet_backbone": build_resnet,
    "build_retinanet_resnet_fpn_backbone": build_fpn,
    "build_mobilenet_backbone": build_mobilenet,
}

LossFunction = Callable[[HeadOutput, Sequence[Targets]], dict[str, Tensor]]


class Network(nn.Module):
    """The dense part: a batch of normalised images to predictions at every location."""

    def __init__(self, backbone: nn.Module, head: nn.Module, in_features: Sequence[str]) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.in_features = tuple(in_features)

    def predict(self, batch_B3HW: Tensor) -> Predictions:
        """Return classes and boxes at every location."""
        features = self.backbone(batch_B3HW)
        predictions: Predictions = self.head([features[name] for name in self.in_features])
        return predictions

    def forward(self, batch_B3HW: Tensor) -> Predictions:
        """Return classes and boxes at every location."""
        return self.predict(batch_B3HW)


class OneNet(Network):
    """The detector: in training it returns losses, else detections.

    While nothing learns, every norm is folded into its convolution, and convolutions run in ``precision``.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        in_features: Sequence[str],
        *,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        selection: Selection,
        criterion: LossFunction,
        precision: torch.dtype = torch.float32,
        channels_last: bool = False,
        compiled: bool = False,
    ) -> None:
        super().__init__(backbone, head, in_features)
        # Constants of the configuration, not of a checkpoint.
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(3, 1, 1), persistent=False)
        self.selection = selection
        self.criterion = criterion
        self.precision = precision
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self._compiled = compiled
        self._without_norms: WeightCache[Network] = WeightCache()

    def forward(  # type: ignore[override]
        self,
        images: Sequence[Tensor],
        targets: Sequence[Targets] | None = None,
        output_sizes: Sequence[Size] | None = None,
    ) -> dict[str, Tensor] | list[Detections]:
        """Return the weighted losses of a training batch, or the detections in every image.

        Args:
            images: 3 x h x w each, RGB from 0 to 255, of any size and on any device.
            targets: of a training batch.
            output_sizes: of the images that detections are to fit; None: the sizes of ``images``.
        """
        output = self.raw(images)
        if self.training:
            if targets is None:
                raise ValueError("targets: expected those of every image of a training batch, got None")
            return self.criterion(output, [target.to(self.device) for target in targets])
        return detect(output, output_sizes or output.image_sizes, self.selection)

    def raw(self, images: Sequence[Tensor]) -> HeadOutput:
        """Return the predictions for every location of every image, in single precision."""
        logits_BKL, boxes_B4L, priors_PL, levels_L = self.dense(self.batch(images))
        sizes = tuple(Size.of_tensor(image) for image in images)
        return HeadOutput(logits_BKL.float(), boxes_B4L.float(), priors_PL, levels_L, sizes)

    def batch(self, images: Sequence[Tensor]) -> Tensor:
        """Return the normalised images on the device, padded with zeros at the right and the bottom, B x 3 x H x W."""
        height, width = (padded_side(max(image.shape[axis] for image in images)) for axis in (-2, -1))
        shape = (len(images), 3, height, width)
        batch_B3HW = torch.zeros(shape, device=self.device).contiguous(memory_format=self.layout)
        for image, place in zip(images, batch_B3HW, strict=True):
            pixels = image.to(self.device, non_blocking=True)
            place[:, : image.shape[-2], : image.shape[-1]] = (pixels - self.pixel_mean) / self.pixel_std
        return batch_B3HW

    def dense(self, batch_B3HW: Tensor) -> Predictions:
        """Return the predictions for a batch of normalised images; by the folded network while nothing learns."""
        if torch.is_grad_enabled() or uses_batch_statistics(self):
            return self.predict(batch_B3HW)
        network = self._without_norms.get([*self.parameters(), *self.buffers()], self._fold)
        predictions: Predictions = network(batch_B3HW.to(self.precision))
        return predictions

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.pixel_mean.device

    def _fold(self, last: Network | None) -> Network:
        """Return this network without norms; in the place of ``last``, so that its compiled program stays good."""
        network = Network(deepcopy(self.backbone), deepcopy(self.head), self.in_features)
        fold_norms(network)
        network.requires_grad_(False).eval()
        network.to(self.precision).to(memory_format=self.layout)
        if last is not None and _placement(last) == _placement(network):
            last.load_state_dict(network.state_dict())
            return last
        if self._compiled:
            network.compile()
        return network


def padded_side(side_px: int) -> int:
    """Return the length to which a side of a batch is padded, in pixels: the next multiple of ``DIVISIBILITY``."""
    return -(-side_px // DIVISIBILITY) * DIVISIBILITY


def _placement(network: nn.Module) -> tuple[torch.device, torch.dtype, tuple[int, ...]]:
    weight = next(network.parameters())
    return weight.device, weight.dtype, weight.stride()


def build_model(config: CfgNode, generator: torch.Generator | None = None) -> OneNet:
    """Return the configured network with fresh weights, on the CPU; ``MODEL.WEIGHTS`` is not read here.

    Args:
        config: the whole tree.
        generator: source of the initial weights; None: one seeded with ``SEED``.
    """
    model = lay_out_model(config)
    state = model.state_dict()
    model.load_state_dict(
        {key: torch.empty_like(t, device="cpu") if t.is_meta else t for key, t in state.items()}, assign=True
    )
    if generator is None:
        generator = torch.Generator().manual_seed(config.SEED)
    with torch.no_grad():
        initialise(model.backbone, model.head, config.MODEL.OneNet.PRIOR_PROB, generator)
    return model.to(memory_format=model.layout)


def lay_out_model(config: CfgNode) -> OneNet:
    """Return the configured network without memory for its weights: their names and shapes."""
    build_backbone = choose("MODEL.BACKBONE.NAME", config.MODEL.BACKBONE.NAME, BACKBONES)
    with torch.device("meta"):  # allocates and draws nothing
        backbone = build_backbone(config)
        head = build_head(config, backbone.channels)
    return OneNet(
        backbone,
        head,
        config.MODEL.OneNet.IN_FEATURES,
        pixel_mean=config.MODEL.PIXEL_MEAN,
        pixel_std=config.MODEL.PIXEL_STD,
        criterion=Criterion(config),
        selection=Selection(config.TEST.DETECTIONS_PER_IMAGE, config.MODEL.OneNet.NMS),
        precision=FORMATS[config.TEST.PRECISION],
        channels_last=config.RUNTIME.CHANNELS_LAST,
        compiled=config.RUNTIME.COMPILE,
    )
