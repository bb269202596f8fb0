"""Which head the configuration means, on which features."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn
from yacs.config import CfgNode

from baselines.onenet.modeling.anchors import AnchorGenerator
from baselines.onenet.modeling.centernet_head import CenterNetHead
from baselines.onenet.modeling.fcos_head import FcosHead
from baselines.onenet.modeling.neck import Neck
from baselines.onenet.modeling.retinanet_head import RetinaNetHead
from os2d.choices import choose


def build_head(config: CfgNode, channels: Mapping[str, int]) -> nn.Module:
    """Return the head of ``MODEL.OneNet``, with its neck; its weights are not set yet.

    Args:
        config: the whole tree.
        channels: name of a feature that the backbone returns -> its channels.
    """
    build = choose("MODEL.OneNet.HEAD", config.MODEL.OneNet.HEAD, HEADS)
    return build(config, [channels[name] for name in config.MODEL.OneNet.IN_FEATURES])


def _build_centernet(config: CfgNode, channels: list[int]) -> nn.Module:
    onenet = config.MODEL.OneNet
    neck = Neck(
        channels,
        list(onenet.DECONV_CHANNEL),
        list(onenet.DECONV_KERNEL),
        deformable=onenet.DCN,
        modulated=onenet.MODULATE_DEFORM,
    )
    return CenterNetHead(neck, onenet.DECONV_CHANNEL[-1], onenet.NUM_CLASSES, onenet.ACTIVATION)


def _build_fcos(config: CfgNode, channels: list[int]) -> nn.Module:
    onenet = config.MODEL.OneNet
    return FcosHead(
        channels[0],
        onenet.CONV_CHANNELS,
        onenet.NUM_CONV,
        onenet.CONV_NORM,
        onenet.FEATURES_STRIDE,
        onenet.NUM_CLASSES,
    )


def _build_retinanet(config: CfgNode, channels: list[int]) -> nn.Module:
    onenet, generator = config.MODEL.OneNet, config.MODEL.ANCHOR_GENERATOR
    anchors = AnchorGenerator(generator.SIZES, generator.ASPECT_RATIOS, onenet.FEATURES_STRIDE, generator.OFFSET)
    return RetinaNetHead(channels[0], onenet.CONV_CHANNELS, onenet.NUM_CONV, anchors, onenet.NUM_CLASSES)


HEADS: Mapping[str, Callable[[CfgNode, list[int]], nn.Module]] = {
    "CenterNet": _build_centernet,
    "FCOS": _build_fcos,
    "RetinaNet": _build_retinanet,
}
