"""Checks of a configuration before anything runs; light on purpose (no torch): planners check every trial."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from yacs.config import CfgNode

from os2d.config_check import Rule
from os2d.data.catalog import data_root, find_dataset, is_known, lacks_class_images
from os2d.errors import ConfigError
from os2d.modeling.choices import choose

CHOICES: dict[str, tuple[str, ...]] = {
    "model.net": ("res18", "res34", "res50", "res101"),
    "train.optim.optim_method": ("sgd", "adam"),
    "eval.searched_classes": ("present", "all"),
    "eval.class_image_augmentation": ("", "rotation90"),
}
"""Keys whose value is one of a few names."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _some(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda values: len(values) > 0 and all(holds(value) for value in values)


RULES = (
    Rule(
        "a positive whole number",
        _is_count,
        (
            *("model.query_size", "train.batch_size", "train.epochs", "train.max_boxes", "eval.iter"),
            *("train.proposals.before_nms", "train.proposals.after_nms", "train.rpn.samples", "train.head.samples"),
            *("eval.proposals.before_nms", "eval.proposals.after_nms", "eval.max_detections"),
            "runtime.classes_at_once",
        ),
    ),
    Rule(
        "0 or a positive whole number",
        lambda v: v == 0 or _is_count(v),
        (
            *("random_seed", "output.print_iter", "output.checkpoint_interval", "output.session"),
            *("runtime.num_workers", "runtime.num_threads"),
        ),
    ),
    Rule("a whole number from -1 to 3", lambda v: v in (-1, 0, 1, 2, 3), ("model.fixed_blocks",)),
    Rule("a positive number", lambda v: _is_number(v) and v > 0, ("train.optim.lr", "runtime.checkpoint_seconds")),
    Rule(
        "0 or a positive number",
        lambda v: _is_number(v) and v >= 0,
        ("train.optim.weight_decay", "train.optim.sgd_momentum", "train.optim.gamma"),
    ),
    Rule(
        "a number from 0 to 1",
        lambda v: _is_number(v) and 0 <= v <= 1,
        (
            *("train.rpn.positive_iou", "train.rpn.negative_iou", "train.rpn.positive_share"),
            *("train.head.foreground_share", "train.head.foreground_iou", "train.head.margin"),
            *("train.head.background_iou_low", "train.head.background_iou_high"),
            *("train.proposals.nms_iou_threshold", "eval.proposals.nms_iou_threshold", "eval.nms_iou_threshold"),
        ),
    ),
    Rule("at least one positive whole number", _some(_is_count), ("train.scales", "eval.scales")),
    Rule(
        "at least one positive number",
        _some(lambda v: _is_number(v) and v > 0),
        ("model.anchor_scales", "model.anchor_ratios"),
    ),
    Rule(
        "four positive numbers",
        lambda values: len(values) == 4 and _some(lambda v: _is_number(v) and v > 0)(values),
        ("model.delta_stds",),
    ),
    Rule("at least one number in (0, 1]", _some(lambda v: _is_number(v) and 0 < v <= 1), ("eval.mAP_iou_thresholds",)),
    Rule("epochs, from 1", lambda values: all(map(_is_count, values)), ("train.optim.milestones",)),
)


def check_training(config: CfgNode) -> None:
    """Check the configuration of a training.

    Raises:
        ConfigError: a value or a combination cannot be used; the message names the key, the value and what is allowed.
        DataError: a data set does not exist.
    """
    check_evaluation(config)
    _check_dataset(config.train.dataset_name, config)
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
        _check_dataset(name, config)


def check_values(config: CfgNode) -> None:
    """Check every value by itself.

    Raises:
        ConfigError: one cannot be used.
    """
    for key, allowed in CHOICES.items():
        choose(key, str(_value(config, key)), dict.fromkeys(allowed))
    for rule in RULES:
        for key in rule.keys:
            value = _value(config, key)
            if value is None or not rule.holds(value):
                raise ConfigError(f"{key}: expected {rule.expected}, got {value!r}")


def _value(config: CfgNode, key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        node = node[part]
    return node


def _check_dataset(name: str, config: CfgNode) -> None:
    """Check that a data set name exists; its files are looked at elsewhere, they may lie on another machine."""
    if not is_known(name):
        find_dataset(name, data_root(config))
    if lacks_class_images(name):
        raise ConfigError(f"data set {name!r}: has boxes but no class images, which CoAE asks for")
