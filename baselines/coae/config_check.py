"""Checks of a configuration before anything runs; light on purpose (no torch): planners check every trial."""

from __future__ import annotations

from yacs.config import CfgNode

from baselines.config_rules import (
    Rule,
    check_dataset_name,
    check_tree,
    is_not_negative,
    is_positive,
    is_share,
    is_whole,
    some,
)
from os2d.data.catalog import lacks_class_images
from os2d.errors import ConfigError

CHOICES: dict[str, tuple[str, ...]] = {
    "model.net": ("res18", "res34", "res50", "res101"),
    "train.optim.optim_method": ("sgd", "adam"),
    "eval.searched_classes": ("present", "all"),
    "eval.class_image_augmentation": ("", "rotation90"),
}
"""Keys whose value is one of a few names."""


RULES = (
    Rule(
        "a positive whole number",
        is_whole(1),
        (
            *("model.query_size", "train.batch_size", "train.epochs", "train.max_boxes", "eval.iter"),
            *("train.proposals.before_nms", "train.proposals.after_nms", "train.rpn.samples", "train.head.samples"),
            *("eval.proposals.before_nms", "eval.proposals.after_nms", "eval.max_detections"),
            "runtime.classes_at_once",
        ),
    ),
    Rule(
        "0 or a positive whole number",
        is_whole(0),
        (
            *("random_seed", "output.print_iter", "output.checkpoint_interval", "output.session"),
            *("runtime.num_workers", "runtime.num_threads"),
        ),
    ),
    Rule("a whole number from -1 to 3", lambda v: v in (-1, 0, 1, 2, 3), ("model.fixed_blocks",)),
    Rule("a positive number", is_positive, ("train.optim.lr", "runtime.checkpoint_seconds")),
    Rule(
        "0 or a positive number",
        is_not_negative,
        ("train.optim.weight_decay", "train.optim.sgd_momentum", "train.optim.gamma"),
    ),
    Rule(
        "a number from 0 to 1",
        is_share,
        (
            *("train.rpn.positive_iou", "train.rpn.negative_iou", "train.rpn.positive_share"),
            *("train.head.foreground_share", "train.head.foreground_iou", "train.head.margin"),
            *("train.head.background_iou_low", "train.head.background_iou_high"),
            *("train.proposals.nms_iou_threshold", "eval.proposals.nms_iou_threshold", "eval.nms_iou_threshold"),
        ),
    ),
    Rule("at least one positive whole number", some(is_whole(1)), ("train.scales", "eval.scales")),
    Rule(
        "at least one positive number",
        some(is_positive),
        ("model.anchor_scales", "model.anchor_ratios"),
    ),
    Rule(
        "four positive numbers",
        lambda values: len(values) == 4 and all(map(is_positive, values)),
        ("model.delta_stds",),
    ),
    Rule("at least one number in (0, 1]", some(lambda v: is_positive(v) and v <= 1), ("eval.mAP_iou_thresholds",)),
    Rule("epochs, from 1", lambda values: all(map(is_whole(1), values)), ("train.optim.milestones",)),
)


def check_training(config: CfgNode) -> None:
    """Check the configuration of a training.

    Raises:
        ConfigError: a value or a combination cannot be used; the message names the key, the value and what is allowed.
        DataError: a data set does not exist.
    """
    check_evaluation(config)
    _check_dataset("train.dataset_name", config.train.dataset_name, config)
    for branch, low, high in (
        ("rpn", "negative_iou", "positive_iou"),
        ("head", "background_iou_low", "background_iou_high"),
        ("head", "background_iou_high", "foreground_iou"),
    ):
        node = config.train[branch]
        if node[low] > node[high]:
            raise ConfigError(
                f"train.{branch}.{low}: expected at most train.{branch}.{high} ({node[high]}), got {node[low]}"
            )


def check_evaluation(config: CfgNode) -> None:
    """Check the configuration of an evaluation; see :func:`check_training`."""
    check_values(config)
    names = config.eval.dataset_names
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"eval.dataset_names: expected at least one name of a data set, got {names!r}")
    shown = [name.lower() for name in names]
    repeated = next((name for name in shown if shown.count(name) > 1), None)
    if repeated:
        raise ConfigError(f"eval.dataset_names: expected different data sets, got {repeated!r} twice")
    for name in names:
        _check_dataset("eval.dataset_names", name, config)


def check_values(config: CfgNode) -> None:
    """Check every value by itself.

    Raises:
        ConfigError: one cannot be used.
    """
    check_tree(config, CHOICES, RULES)


def _check_dataset(key: str, name: object, config: CfgNode) -> None:
    """Check that a data set exists and has class images."""
    check_dataset_name(key, name, config.runtime.data_root)
    if lacks_class_images(str(name)):
        raise ConfigError(f"data set {name!r}: has boxes but no class images, which CoAE asks for")
