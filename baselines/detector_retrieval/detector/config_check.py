"""Checks of a detector's configuration before anything runs.

Light on purpose (no torch): planners check every trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from yacs.config import CfgNode

from baselines.config_rules import (
    Rule,
    check_dataset_name,
    check_tree,
    is_not_negative,
    is_number,
    is_positive,
    is_share,
    some,
)
from baselines.detector_retrieval.detector.catalog import weights_path
from os2d.errors import ConfigError

CHOICES: Mapping[str, tuple[str, ...]] = {
    "MODEL.META_ARCHITECTURE": ("GeneralizedRCNN",),
    "MODEL.DEVICE": ("cuda", "cpu"),
    "MODEL.CLS_AGNOSTIC_BBOX_REG": ("False",),
    "MODEL.BACKBONE.CONV_BODY": ("R-18-FPN", "R-34-FPN", "R-50-FPN", "R-101-FPN"),
    "MODEL.RESNETS.NORM": ("FrozenBN", "GN"),
    "MODEL.RPN.USE_FPN": ("True",),
    "MODEL.ROI_HEADS.USE_FPN": ("True",),
    "MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR": ("FPN2MLPFeatureExtractor",),
    "MODEL.ROI_BOX_HEAD.PREDICTOR": ("FPNPredictor",),
    "SOLVER.WARMUP_METHOD": ("linear", "constant"),
}
"""Keys whose value is one of a few; maskrcnn-benchmark has more."""


RULES = (
    Rule(
        "a positive number",
        is_positive,
        (
            *("MODEL.RESNETS.BACKBONE_OUT_CHANNELS", "MODEL.RPN.BATCH_SIZE_PER_IMAGE", "MODEL.RPN.PRE_NMS_TOP_N_TRAIN"),
            *("MODEL.RPN.PRE_NMS_TOP_N_TEST", "MODEL.RPN.POST_NMS_TOP_N_TRAIN", "MODEL.RPN.POST_NMS_TOP_N_TEST"),
            *("MODEL.RPN.FPN_POST_NMS_TOP_N_TRAIN", "MODEL.RPN.FPN_POST_NMS_TOP_N_TEST"),
            *("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION"),
            *("MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", "MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM"),
            *("INPUT.MAX_SIZE_TRAIN", "INPUT.MIN_SIZE_TEST", "INPUT.MAX_SIZE_TEST", "SOLVER.ASSUMED_GPUS"),
            *("SOLVER.BASE_LR", "SOLVER.BIAS_LR_FACTOR", "SOLVER.GAMMA", "SOLVER.WARMUP_FACTOR"),
            *("SOLVER.CHECKPOINT_PERIOD", "SOLVER.VALIDATION_PERIOD", "SOLVER.IMS_PER_BATCH", "TEST.IMS_PER_BATCH"),
            *("TEST.BBOX_AUG.MAX_SIZE", "runtime.checkpoint_seconds"),
        ),
    ),
    Rule(
        "0 or a positive number",
        is_not_negative,
        (
            *("random_seed", "MODEL.ROI_HEADS.DETECTIONS_PER_IMG", "DATALOADER.NUM_WORKERS", "SOLVER.MAX_ITER"),
            *("SOLVER.MOMENTUM", "SOLVER.WEIGHT_DECAY", "SOLVER.WEIGHT_DECAY_BIAS", "SOLVER.WARMUP_ITERS"),
            "runtime.num_threads",
        ),
    ),
    Rule(
        "a number from 0 to 1",
        is_share,
        (
            *("MODEL.RPN.FG_IOU_THRESHOLD", "MODEL.RPN.BG_IOU_THRESHOLD", "MODEL.RPN.POSITIVE_FRACTION"),
            *("MODEL.RPN.NMS_THRESH", "MODEL.ROI_HEADS.FG_IOU_THRESHOLD", "MODEL.ROI_HEADS.BG_IOU_THRESHOLD"),
            *("MODEL.ROI_HEADS.POSITIVE_FRACTION", "MODEL.ROI_HEADS.NMS", "INPUT.HORIZONTAL_FLIP_PROB_TRAIN"),
        ),
    ),
    Rule(
        "at least one positive number",
        some(is_positive),
        ("MODEL.RPN.ASPECT_RATIOS", "INPUT.MIN_SIZE_TRAIN"),
    ),
    Rule(
        "five positive numbers, one per level",
        lambda v: len(v) == 5 and all(map(is_positive, v)),
        ("MODEL.RPN.ANCHOR_SIZES", "MODEL.RPN.ANCHOR_STRIDE"),
    ),
    Rule(
        "one to four positive numbers, one per level",
        lambda v: len(v) <= 4 and some(is_positive)(v),
        ("MODEL.ROI_BOX_HEAD.POOLER_SCALES",),
    ),
    Rule(
        "four positive numbers",
        lambda v: len(v) == 4 and all(map(is_positive, v)),
        ("MODEL.ROI_HEADS.BBOX_REG_WEIGHTS",),
    ),
    Rule("three numbers", lambda v: len(v) == 3 and all(map(is_number, v)), ("INPUT.PIXEL_MEAN",)),
    Rule("three positive numbers", lambda v: len(v) == 3 and all(map(is_positive, v)), ("INPUT.PIXEL_STD",)),
    Rule("a whole number from 0 to 5", lambda v: 0 <= v <= 5, ("MODEL.BACKBONE.FREEZE_CONV_BODY_AT",)),
    Rule("-1, 0, or 2 and more", lambda v: v in (-1, 0) or v >= 2, ("MODEL.ROI_BOX_HEAD.NUM_CLASSES",)),
    Rule("a multiple of 32", lambda v: v > 0 and v % 32 == 0, ("DATALOADER.SIZE_DIVISIBILITY",)),
    Rule("no negative number", lambda v: all(map(is_positive, v)), ("TEST.BBOX_AUG.SCALES",)),
    Rule("rising positive numbers", lambda v: all(a < b for a, b in pairwise([0, *v])), ("SOLVER.STEPS",)),
)


def check_training(config: CfgNode) -> None:
    """Check the configuration of a training.

    Raises:
        ConfigError: a value or a combination cannot be used; the message names the key, the value and what is allowed.
        DataError: a custom data set does not exist.
    """
    check_evaluation(config)
    _check_training_set(config)
    for name in ("RPN", "ROI_HEADS"):
        branch = config.MODEL[name]
        if branch.BG_IOU_THRESHOLD > branch.FG_IOU_THRESHOLD:
            raise ConfigError(
                f"MODEL.{name}.BG_IOU_THRESHOLD: expected at most FG_IOU_THRESHOLD ({branch.FG_IOU_THRESHOLD}), "
                f"got {branch.BG_IOU_THRESHOLD}"
            )


def check_evaluation(config: CfgNode) -> None:
    """Check the configuration of an evaluation; see :func:`check_training`."""
    check_tree(config, CHOICES, RULES)
    if not config.DATASETS.TEST:
        raise ConfigError("DATASETS.TEST: expected at least one data set to evaluate on, got none")
    for name in config.DATASETS.TEST:
        check_dataset_name("DATASETS.TEST", name, config.runtime.data_root)
    if config.MODEL.ROI_BOX_HEAD.NUM_CLASSES != 0:
        _check_training_set(config)
    weights_path(config.MODEL.WEIGHT)


def _check_training_set(config: CfgNode) -> None:
    """Check the data set that is trained on, and whose classes a detector with classes has."""
    if len(config.DATASETS.TRAIN) != 1:
        raise ConfigError(
            f"DATASETS.TRAIN: expected one data set, got {list(config.DATASETS.TRAIN)}; the classes of several would "
            "have to be merged first"
        )
    check_dataset_name("DATASETS.TRAIN", config.DATASETS.TRAIN[0], config.runtime.data_root)
