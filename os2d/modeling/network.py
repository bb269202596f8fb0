"""The network: class images and images in, scores and boxes of every anchor and class out (OS2D, section 4).

Shapes: B images, C classes, D channels, H W feature map, A = H * W anchors.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from os2d.errors import ConfigError
from os2d.modeling.alignment import Aligner, TemplateGrid
from os2d.modeling.backbone import Backbone, build_backbone
from os2d.modeling.box_coder import BoxCoder
from os2d.modeling.head import Heads, Matches, Os2dHead
from os2d.modeling.precision import autocast
from os2d.modeling.transform_net import TransformNet
from os2d.structures.sizes import Size

LARGEST_CLASS_BATCH = 16
"""Class images of the same size that go through the backbone together."""


class LabelFeatures(nn.Module):
    """The class branch: feature maps of class images of any sizes."""

    def __init__(self, net_class_features: Backbone) -> None:
        super().__init__()
        self.net_class_features = net_class_features

    def forward(self, class_images: Sequence[Tensor]) -> list[Tensor]:
        """Return a feature map (D, H, W) for each class image (3, h, w)."""
        features: list[Tensor | None] = [None] * len(class_images)
        for batch in self._batches(class_images):
            maps_BDHW = self.net_class_features(torch.stack([class_images[i] for i in batch]))
            for index, feature_map in zip(batch, maps_BDHW, strict=True):
                features[index] = feature_map
        return [f for f in features if f is not None]

    def _batches(self, class_images: Sequence[Tensor]) -> list[list[int]]:
        """Return the indices of images that may share a batch: equal in size, unless BatchNorm would mix them."""
        if self.net_class_features.uses_batch_statistics():
            return [[i] for i in range(len(class_images))]
        by_shape: dict[torch.Size, list[int]] = {}
        for i, image in enumerate(class_images):
            by_shape.setdefault(image.shape, []).append(i)
        step = LARGEST_CLASS_BATCH
        return [same[i : i + step] for same in by_shape.values() for i in range(0, len(same), step)]


class Os2d(nn.Module):
    """One-shot detection by matching anchor features.

    The names of the children are those of published checkpoints.

    Attributes:
        box_coder: for the anchors of this network.
        stride: pixels per feature-map cell.
        anchor_side: of the square anchors, in pixels.
        head_memory_mb: for the classes that are matched at once without gradients.
        precision: of convolutions and matrix products in evaluation mode without gradients, ``eval.precision``.
    """

    def __init__(
        self,
        net_feature_maps: Backbone,
        net_class_features: Backbone,
        head: Os2dHead,
        box_coder: BoxCoder,
        head_memory_mb: float = 512,
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        self.net_feature_maps = net_feature_maps
        self.os2d_head_creator = head
        self.net_label_features = LabelFeatures(net_class_features)
        self.box_coder = box_coder
        self.stride = net_feature_maps.stride
        self.anchor_side = head.template.side_px
        self.head_memory_mb = head_memory_mb
        self.precision = precision
        self.eval()

    @property
    def merged(self) -> bool:
        """Whether both branches share one backbone."""
        return self.net_feature_maps is self.net_label_features.net_class_features

    def feature_map_size(self, image_size: Size) -> Size:
        """Return the size of the feature map of an image."""
        return self.net_feature_maps.feature_map_size(image_size)

    def extract_features(self, images_B3HW: Tensor) -> Tensor:
        """Return the features (B, D, H, W) of normalised images."""
        with self._inference_precision(images_B3HW):
            features_BDHW: Tensor = self.net_feature_maps(images_B3HW)
            return features_BDHW

    def make_heads(self, class_images: Sequence[Tensor]) -> Heads:
        """Return the templates of normalised class images (3, h, w) of any sizes, in the same order."""
        if not class_images:
            raise ValueError("expected at least one class image")
        with self._inference_precision(class_images[0]):
            return self.os2d_head_creator.make_heads(self.net_label_features(class_images))

    def match(self, features_BDHW: Tensor, heads: Heads) -> Matches:
        """Return the scores and boxes of every anchor of every image for every class.

        Without gradients, memory is bounded by ``head_memory_mb`` (and one class at a time).
        """
        with self._inference_precision(features_BDHW):
            return self.os2d_head_creator.match(features_BDHW, heads, self.head_memory_mb)

    def _inference_precision(self, inputs: Tensor) -> AbstractContextManager[object]:
        """Return the context of an evaluation; a training step brings its own."""
        if self.training or torch.is_grad_enabled():
            return nullcontext()
        return autocast("eval.precision", self.precision, inputs.device.type)

    def compile_dense(self) -> None:
        """Let torch.compile make programs of the backbones and the TransformNet; the names of the weights stay."""
        self.net_feature_maps.compile_stages()
        if not self.merged:
            self.net_label_features.net_class_features.compile_stages()
        self.os2d_head_creator.aligner.parameter_regressor.compile()

    def classes_per_chunk(self, fm_size: Size, num_images: int, memory_mb: float | None = None) -> int:
        """Return how many classes can be matched at once in ``memory_mb`` (default: of the configuration)."""
        memory_mb = self.head_memory_mb if memory_mb is None else memory_mb
        return self.os2d_head_creator.classes_per_chunk(fm_size, num_images, memory_mb)

    def forward(
        self,
        images: Tensor | None = None,
        class_images: Sequence[Tensor] | None = None,
        heads: Heads | None = None,
        features: Tensor | None = None,
        train_mode: bool = False,
        fine_tune_features: bool = False,
    ) -> Matches:
        """Return the matches of images (or their features) with class images (or their heads).

        The backbones get gradients only with both flags, the head in any case.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and train_mode and fine_tune_features):
            if features is None:
                if images is None:
                    raise ValueError("expected images or features")
                features = self.extract_features(images)
            if heads is None:
                if class_images is None:
                    raise ValueError("expected class_images or heads")
                heads = self.make_heads(class_images)
        return self.match(features, heads)

    def train(
        self,
        mode: bool = True,
        freeze_bn_in_extractor: bool = False,
        freeze_transform_params: bool = False,
        freeze_bn_transform: bool = False,
    ) -> Os2d:
        """Set the mode of every module for the next steps.

        Args:
            mode: training, as opposed to evaluation.
            freeze_bn_in_extractor: BatchNorm of the backbones uses its stored statistics.
            freeze_transform_params: the TransformNet does not learn, from now on.
            freeze_bn_transform: BatchNorm of the TransformNet uses its stored statistics.
        """
        super().train(mode)
        transform_net = self.os2d_head_creator.aligner.parameter_regressor
        if freeze_transform_params:
            transform_net.requires_grad_(False)
        if mode and freeze_bn_in_extractor:
            self.net_feature_maps.freeze_bn()
            self.net_label_features.net_class_features.freeze_bn()
        if mode and (freeze_transform_params or freeze_bn_transform):
            transform_net.eval()
        return self


def build_os2d(config: CfgNode) -> Os2d:
    """Return the network of a configuration, randomly initialised from ``random_seed``, in evaluation mode.

    The same seed gives the same weights; the global random generators are neither read nor changed.

    Raises:
        ConfigError: for a value of ``model`` that does not exist or does not fit the others.
    """
    model, objective, training = config.model, config.train.objective, config.train.model
    generator = torch.Generator().manual_seed(config.random_seed)
    backbone = build_backbone(model.backbone_arch, model.use_group_norm, model.backbone_cut, generator)
    class_backbone = backbone if model.merge_branch_parameters else deepcopy(backbone)
    template = TemplateGrid(model.template_grid, model.template_border, backbone.stride)
    transform_net = _build_transform_net(model, generator)
    box_coder = BoxCoder(
        template.side_px,
        backbone.stride,
        objective.positive_iou_threshold,
        objective.negative_iou_threshold,
        objective.remap_classification_targets_iou_pos,
        objective.remap_classification_targets_iou_neg,
    )
    head = Os2dHead(Aligner(transform_net, inverse=model.use_inverse_geom_model), template)
    for branch in (backbone, class_backbone):
        branch.channels_last = config.runtime.channels_last
    network = Os2d(backbone, class_backbone, head, box_coder, config.runtime.head_memory_mb, config.eval.precision)
    if config.runtime.compile:
        network.compile_dense()
    _freeze_blocks(network, training.num_frozen_extractor_blocks)
    transform_net.requires_grad_(not training.freeze_transform)
    return network


def _build_transform_net(model: CfgNode, generator: torch.Generator) -> TransformNet:
    kernel_sizes, channels = model.transform_net.kernel_sizes, model.transform_net.channels
    if any(not isinstance(k, int) or k < 1 or k % 2 == 0 for k in kernel_sizes):
        raise ConfigError(f"model.transform_net.kernel_sizes: expected odd positive numbers, got {kernel_sizes}")
    if any(not isinstance(c, int) or c < 1 for c in channels):
        raise ConfigError(f"model.transform_net.channels: expected positive numbers, got {channels}")
    if len(kernel_sizes) != len(channels) + 1:
        raise ConfigError(
            f"model.transform_net.kernel_sizes: expected {len(channels) + 1} values, one per layer of "
            f"model.transform_net.channels {channels} and one for the last layer, got {kernel_sizes}"
        )
    num_parameters = 4 if model.use_simplified_affine_model else 6
    with torch.device("meta"):  # a layer would draw its first weights from the global generator
        transform_net = TransformNet(model.template_grid**2, num_parameters, kernel_sizes, channels)
    transform_net.to_empty(device="cpu").initialise(generator)
    return transform_net


def _freeze_blocks(network: Os2d, count: int) -> None:
    num_blocks = len(network.net_feature_maps.blocks())
    if not 0 <= count <= num_blocks:
        raise ConfigError(
            f"train.model.num_frozen_extractor_blocks: expected 0 to {num_blocks}, "
            f"the number of blocks of this backbone, got {count}"
        )
    network.net_feature_maps.freeze_blocks(count)
    network.net_label_features.net_class_features.freeze_blocks(count)
