"""Checks of a configuration before anything runs; light on purpose (no torch): planners check every trial.

What only the files can tell (missing images, weights that do not fit) is checked where they are read.
"""

from __future__ import annotations

from itertools import pairwise

from yacs.config import CfgNode

from baselines.config_rules import Rule, check_tree, is_not_negative, is_number, is_positive, is_whole, some
from baselines.onenet.data.catalog import find_source
from os2d.errors import ConfigError

CHOICES = {
    "VERSION": ("2",),
    "MODEL.META_ARCHITECTURE": ("OneNet",),
    "MODEL.BACKBONE.NAME": (
        "build_resnet_backbone",
        "build_retinanet_resnet_fpn_backbone",
        "build_mobilenet_backbone",
    ),
    "MODEL.RESNETS.NORM": ("BN", "FrozenBN"),
    "MODEL.MOBILENET.NAME": ("mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"),
    "MODEL.MOBILENET.NORM": ("BN", "FrozenBN"),
    "MODEL.OneNet.HEAD": ("CenterNet", "FCOS", "RetinaNet"),
    "MODEL.OneNet.MATCHER": ("MinCost", "Hungarian"),
    "MODEL.OneNet.ACTIVATION": ("relu", "gelu"),
    "MODEL.OneNet.CONV_NORM": ("GN", "BN"),
    "INPUT.FORMAT": ("RGB",),
    "INPUT.RANDOM_FLIP": ("horizontal", "none"),
    "INPUT.CROP.TYPE": ("absolute_range",),
    "SOLVER.OPTIMIZER": ("ADAMW", "SGD"),
    "SOLVER.WARMUP_METHOD": ("linear",),
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": ("full_model", "value", "norm"),
    "SOLVER.AMP.PRECISION": ("fp16", "bf16"),
    "TEST.PRECISION": ("fp32", "bf16", "fp16"),
}
"""Keys whose value is one of a few names."""


def _is_below_1(value: object) -> bool:
    return is_number(value) and 0 <= value < 1


RULES = (
    Rule(
        "a whole number, 1 or more",
        is_whole(1),
        (
            *("MODEL.OneNet.NUM_CLASSES", "SOLVER.IMS_PER_BATCH", "SOLVER.CHECKPOINT_PERIOD"),
            *("TEST.DETECTIONS_PER_IMAGE", "INPUT.MAX_SIZE_TRAIN", "INPUT.MAX_SIZE_TEST"),
        ),
    ),
    Rule(
        "a whole number, 0 or more",
        is_whole(0),
        (
            *("SEED", "SOLVER.MAX_ITER", "SOLVER.WARMUP_ITERS", "TEST.EVAL_PERIOD", "DATALOADER.NUM_WORKERS"),
            *("INPUT.MIN_SIZE_TEST", "MODEL.BACKBONE.FREEZE_AT"),
        ),
    ),
    Rule(
        "a positive number",
        is_positive,
        (
            *("SOLVER.BASE_LR", "SOLVER.GAMMA", "SOLVER.CLIP_GRADIENTS.CLIP_VALUE"),
            *("SOLVER.CLIP_GRADIENTS.NORM_TYPE", "RUNTIME.CHECKPOINT_SECONDS"),
        ),
    ),
    Rule(
        "0 or a positive number",
        is_not_negative,
        (
            *("SOLVER.WEIGHT_DECAY", "SOLVER.BACKBONE_MULTIPLIER", "MODEL.OneNet.GAMMA"),
            *("MODEL.OneNet.CLASS_COST", "MODEL.OneNet.L1_COST", "MODEL.OneNet.GIOU_COST"),
            *("MODEL.OneNet.CLASS_WEIGHT", "MODEL.OneNet.L1_WEIGHT", "MODEL.OneNet.GIOU_WEIGHT"),
        ),
    ),
    Rule(
        "a number from 0 to below 1",
        _is_below_1,
        ("MODEL.OneNet.ALPHA", "MODEL.EMA.DECAY", "SOLVER.MOMENTUM", "SOLVER.WARMUP_FACTOR"),
    ),
    Rule("a number above 0 and below 1", lambda v: _is_below_1(v) and v != 0, ("MODEL.OneNet.PRIOR_PROB",)),
    Rule("at least one positive whole number", some(is_whole(1)), ("INPUT.MIN_SIZE_TRAIN",)),
    Rule("two positive whole numbers", lambda v: len(v) == 2 and all(map(is_whole(1), v)), ("INPUT.CROP.SIZE",)),
    Rule(
        "rising iterations",
        lambda v: all(map(is_whole(0), v)) and all(a < b for a, b in pairwise(v)),
        ("SOLVER.STEPS",),
    ),
)


def check_training(config: CfgNode) -> None:
    """Check the configuration of a training.

    Raises:
        ConfigError: a value or a combination cannot be used; the message names the key, the value and what is allowed.
    """
    check_evaluation(config)
    _check_datasets("TRAIN", config)


def check_evaluation(config: CfgNode) -> None:
    """Check the configuration of an evaluation; see :func:`check_training`."""
    check_tree(config, CHOICES, RULES)
    if not (config.MODEL.DEVICE == "cpu" or config.MODEL.DEVICE.startswith("cuda")):
        raise ConfigError(f"MODEL.DEVICE: expected cuda, cuda:N or cpu, got {config.MODEL.DEVICE!r}")
    _check_res2_channels(config.MODEL.RESNETS)
    _check_datasets("TEST", config)


def check_processes(config: CfgNode, world_size: int) -> None:
    """Check that the images of an iteration can be shared between processes.

    Raises:
        ConfigError: they cannot.
    """
    if config.SOLVER.IMS_PER_BATCH % world_size:
        raise ConfigError(
            f"SOLVER.IMS_PER_BATCH: expected a multiple of the {world_size} processes, got "
            f"{config.SOLVER.IMS_PER_BATCH}"
        )


def _check_res2_channels(resnets: CfgNode) -> None:
    """Refuse other widths than those of published networks; the default may stand beside any depth."""
    channels, of_depth = resnets.RES2_OUT_CHANNELS, 64 if resnets.DEPTH in (18, 34) else 256
    if channels not in (of_depth, 256):
        raise ConfigError(
            f"MODEL.RESNETS.RES2_OUT_CHANNELS: expected {of_depth}, the only one that a ResNet of MODEL.RESNETS.DEPTH "
            f"{resnets.DEPTH} has here, got {channels!r}"
        )


def _check_datasets(branch: str, config: CfgNode) -> None:
    names = config.DATASETS[branch]
    if not names:
        raise ConfigError(f"DATASETS.{branch}: expected at least one data set, got none")
    for name in names:
        find_source(name, config)
    labels = [find_source(name, config).label for name in names]
    repeated = next((label for label in labels if labels.count(label) > 1), None)
    if repeated:
        raise ConfigError(f"DATASETS.{branch}: expected data sets of different names, got {repeated!r} twice")
