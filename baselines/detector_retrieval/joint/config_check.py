"""Checks of the configuration of a joint evaluation, and what it reads from disk.

Light on purpose (no torch): planners check every trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from yacs.config import CfgNode

from baselines.config_rules import Rule, check_tree, is_share, is_whole
from baselines.detector_retrieval.detector.config import default_config as detector_defaults
from baselines.detector_retrieval.joint.config import without_joint
from os2d.config_check import check_evaluation
from os2d.config_reading import read_config
from os2d.data.fingerprint import evaluation_fingerprints, file_fingerprint, weights_fingerprint
from os2d.errors import ConfigError

CHOICES = {"eval.class_image_augmentation": ("", "rotation90", "horflip")}

RULES = (
    Rule("a whole number, 1 or more", is_whole(1), ("joint.retrieval_image_size", "joint.boxes_at_once")),
    Rule("a number from 0 to 1", is_share, ("joint.nms_iou_threshold",)),
)

FILES = ("detector_weights", "retrieval_network", "retrieval_whitening")


def check(config: CfgNode) -> None:
    """Check the configuration of a joint evaluation.

    Raises:
        ConfigError: a value or a combination cannot be used, also one of the detector's.
        DataError: a custom data set does not exist.
    """
    check_tree(config, CHOICES, RULES)
    check_evaluation(without_joint(config))
    if config.eval.train_subset_for_eval_size:
        raise ConfigError("eval.train_subset_for_eval_size: expected 0, this evaluation has no training set")
    if config.eval.precision != "fp32":
        raise ConfigError(
            f"eval.precision: expected fp32, the only one this evaluation has, got {config.eval.precision!r}"
        )
    detector_config(config)


def detector_config(config: CfgNode) -> CfgNode:
    """Return the configuration of the detector, frozen.

    Raises:
        ConfigError: the file cannot be read, or a key or a value is wrong.
    """
    file = Path(config.joint.detector_config_file).expanduser() if config.joint.detector_config_file else None
    options = [str(option) for option in config.joint.detector_options]
    return read_config(file, options, detector_defaults)


def fingerprints(config: CfgNode) -> Mapping[str, str]:
    """Return name -> hash of every data set and file that a configuration reads."""
    found = dict(evaluation_fingerprints(_without_start_weights(config)))
    for key in FILES:
        if config.joint[key]:
            found[f"joint.{key}"] = weights_fingerprint(f"joint.{key}", Path(config.joint[key]).expanduser())
    if config.joint.detector_config_file:
        path = Path(config.joint.detector_config_file).expanduser()
        detector_config(config)  # says what is wrong with a file that cannot be read
        found["joint.detector_config_file"] = file_fingerprint(path)
    return found


def _without_start_weights(config: CfgNode) -> CfgNode:
    """Return OS2D's tree without the weights it would start from: this evaluation does not read them."""
    base = without_joint(config)
    base.init.model, base.init.transform = "", ""
    return base
