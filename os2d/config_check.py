"""Checks of a configuration before anything runs: what one key may hold, and what keys must agree on.

Light on purpose (no torch): planners check every trial. What only the files can tell (missing images, weights that do
not fit) is checked where they are read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any

from yacs.config import CfgNode

from os2d.choices import choose
from os2d.config import default_config
from os2d.data.catalog import data_root, find_dataset, is_known, lacks_class_images
from os2d.errors import ConfigError
from os2d.metric_names import (
    best_model_metric,
    evaluated_datasets,
    evaluation_names,
    on_dataset,
)
from os2d.modeling.loss_names import CLASS_OBJECTIVES

CHOICES: dict[str, tuple[str, ...]] = {
    "model.backbone_arch": ("ResNet18", "ResNet34", "ResNet50", "ResNet101"),
    "model.backbone_cut": ("layer1", "layer2", "layer3"),
    "train.objective.class_objective": tuple(CLASS_OBJECTIVES),
    "train.optim.optim_method": (
        *("sgd", "adagrad", "adadelta", "adam", "adamax", "adamw"),
        *("rmsprop", "asgd", "rprop"),
    ),
    "train.optim.anneal_lr.type": ("none", "MultiStepLR", "ReduceLROnPlateau"),
    "train.optim.anneal_lr.quantity_mode": ("max", "min"),
    "train.precision": ("fp32", "bf16", "fp16"),
    "eval.precision": ("fp32", "bf16", "fp16"),
    "eval.class_image_augmentation": ("", "rotation90", "horflip", "horflip_rotation90"),
    "output.best_model.mode": ("max", "min"),
}
"""Keys whose value is one of a few names."""


@dataclass(frozen=True)
class Rule:
    """What every one of some keys must satisfy."""

    expected: str
    holds: Callable[[Any], bool]
    keys: tuple[str, ...]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _every(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda values: len(values) > 0 and all(_is_number(v) and holds(v) for v in values)


RULES = (
    Rule(
        "a positive number",
        lambda v: v > 0 and isfinite(v),
        (
            *("model.class_image_size", "train.batch_size", "train.class_batch_size", "train.dataset_scale"),
            "train.accumulation_steps",
            *("train.augment.train_patch_width", "train.augment.train_patch_height"),
            *("train.mining.mine_hard_patches_iter", "train.mining.num_hard_patches_per_image"),
            *("train.optim.lr", "train.optim.max_grad_norm", "train.optim.anneal_lr.gamma"),
            *("eval.iter", "eval.batch_size", "runtime.head_memory_mb", "runtime.checkpoint_seconds"),
        ),
    ),
    Rule(
        "0 or a positive number",
        lambda v: v >= 0 and isfinite(v),
        (
            *("train.objective.loc_weight", "train.objective.neg_to_pos_ratio", "train.objective.class_neg_weight"),
            *("train.model.num_frozen_extractor_blocks", "train.mining.num_random_pyramid_scales"),
            *("train.optim.max_iter", "train.optim.weight_decay", "train.optim.sgd_momentum"),
            *("train.optim.anneal_lr.quantity_epsilon", "train.optim.anneal_lr.min_value"),
            *("train.optim.anneal_lr.patience", "train.optim.anneal_lr.initial_patience"),
            *("train.optim.anneal_lr.cooldown", "train.optim.anneal_lr.quantity_smoothness"),
            *("eval.train_subset_for_eval_size", "output.print_iter", "output.save_iter"),
            *("visualization.eval.max_detections", "visualization.train.max_detections"),
            *("visualization.mining.max_detections", "runtime.num_workers", "runtime.num_threads", "random_seed"),
        ),
    ),
    Rule("-1 (all) or more", lambda v: v >= -1, ("train.mining.num_random_negative_classes",)),
    Rule(
        "a number in (0, 1]",
        lambda v: 0 < v <= 1,
        (
            *("train.augment.scale_jitter", "train.augment.jitter_aspect_ratio"),
            *("train.objective.positive_iou_threshold", "train.objective.remap_classification_targets_iou_pos"),
            "train.objective.rll_neg_weight_ratio",
        ),
    ),
    Rule("a number in (0, 1)", lambda v: 0 < v < 1, ("train.optim.anneal_lr.reduce_factor",)),
    Rule(
        "a number from 0 to 1",
        lambda v: 0 <= v <= 1,
        (
            *("train.augment.min_box_coverage", "train.mining.nms_iou_threshold_in_mining"),
            *("train.objective.negative_iou_threshold", "train.objective.remap_classification_targets_iou_neg"),
            "eval.nms_iou_threshold",
        ),
    ),
    Rule(
        "at least one positive number", _every(lambda v: v > 0), ("eval.scales_of_image_pyramid", "eval.dataset_scales")
    ),
    Rule("at least one number in (0, 1]", _every(lambda v: 0 < v <= 1), ("eval.mAP_iou_thresholds",)),
    Rule("three numbers", lambda v: len(v) == 3 and all(map(_is_number, v)), ("model.normalization_mean",)),
    Rule("three positive numbers", lambda v: len(v) == 3 and _every(lambda s: s > 0)(v), ("model.normalization_std",)),
)

_DEFAULTS = default_config()


def check_training(config: CfgNode) -> None:
    """Check the configuration of a training.

    Raises:
        ConfigError: a value or a combination cannot be used; the message names the key, the value and what is allowed.
        DataError: a custom data set does not exist.
    """
    check_evaluation(config)
    _check_thresholds(config.train.objective)
    if not config.train.do_training:
        return
    _check_dataset_name(config.train.dataset_name, config)
    if not config.train.model.train_features and config.train.model.freeze_transform:
        raise ConfigError(
            "train.model.train_features: False together with train.model.freeze_transform True leaves nothing to train"
        )
    _check_annealing(config)
    if config.output.best_model.do_get_best_model:
        _check_best_model(config)


def check_evaluation(config: CfgNode) -> None:
    """Check the configuration of an evaluation; see :func:`check_training`."""
    for key, value in _changed(config, _DEFAULTS).items():
        check_value(key, value)
    _check_evaluated_datasets(config)
    for branch in ("eval", "mining"):
        heatmaps = config.visualization[branch]
        if len(heatmaps.images_for_heatmaps) != len(heatmaps.labels_for_heatmaps):
            raise ConfigError(
                f"visualization.{branch}.images_for_heatmaps: expected as many image ids as there are class ids in "
                f"labels_for_heatmaps, got {len(heatmaps.images_for_heatmaps)} and {len(heatmaps.labels_for_heatmaps)}"
            )


def check_pictures_are_kept(config: CfgNode) -> None:
    """Refuse to draw pictures into the temporary folder of a run without ``output.path``.

    Raises:
        ConfigError: the pictures of a flag would be gone at the end.
    """
    for branch, settings in config.visualization.items():
        wanted = next((name for name, value in settings.items() if name.startswith("show_") and value), None)
        if wanted and not config.output.path:
            raise ConfigError(
                f"visualization.{branch}.{wanted}: True draws pictures into the folder output.path, which is empty; "
                "set output.path"
            )


def _changed(config: CfgNode, defaults: CfgNode, prefix: str = "") -> dict[str, Any]:
    """Return dotted key -> value of what is not as in the defaults, which need no check: few of the many keys."""
    changed: dict[str, Any] = {}
    for name, value in config.items():
        if value != defaults[name]:
            if isinstance(value, CfgNode):
                changed |= _changed(value, defaults[name], f"{prefix}{name}.")
            else:
                changed[prefix + name] = value
    return changed


def check_value(key: str, value: Any) -> None:
    """Check one value by itself; yacs takes None for any key, ``anneal_lr.type None`` is another way to write none."""
    if value is None and key != "train.optim.anneal_lr.type":
        raise ConfigError(f"{key}: expected a value, got None; leave the key out for its default")
    if key in CHOICES:
        choose(key, str(value), dict.fromkeys(CHOICES[key]))
    for rule in RULES:
        if key in rule.keys and not rule.holds(value):
            raise ConfigError(f"{key}: expected {rule.expected}, got {value!r}")


def _check_evaluated_datasets(config: CfgNode) -> None:
    names, scales = [n for n in config.eval.dataset_names if n], config.eval.dataset_scales
    if not all(isinstance(name, str) for name in names):
        raise ConfigError(f"eval.dataset_names: expected data set names, got {config.eval.dataset_names!r}")
    if not names and not config.eval.train_subset_for_eval_size:
        raise ConfigError("eval.dataset_names: expected at least one data set to evaluate on, got none")
    if len(scales) != 1 and len(scales) != len(config.eval.dataset_names):
        raise ConfigError(
            f"eval.dataset_scales: expected one scale, or one for each of the {len(config.eval.dataset_names)} names "
            f"of eval.dataset_names, got {len(scales)}"
        )
    for name in names:
        _check_dataset_name(name, config)
    shown = [name.lower() for name in names]
    repeated = next((name for name in shown if shown.count(name) > 1), None)
    if repeated:
        raise ConfigError(f"eval.dataset_names: expected different data sets, got {repeated!r} twice")
    labels = [f"{t:.2f}" for t in config.eval.mAP_iou_thresholds]
    if len(set(labels)) < len(labels):
        raise ConfigError(
            "eval.mAP_iou_thresholds: expected thresholds that differ in their first two decimals, "
            f"got {config.eval.mAP_iou_thresholds!r}"
        )


def _check_thresholds(objective: CfgNode) -> None:
    for low, high in (
        ("negative_iou_threshold", "positive_iou_threshold"),
        ("remap_classification_targets_iou_neg", "remap_classification_targets_iou_pos"),
    ):
        if objective[low] > objective[high]:
            raise ConfigError(
                f"train.objective.{low}: expected at most train.objective.{high} ({objective[high]}), "
                f"got {objective[low]}"
            )


def _check_annealing(config: CfgNode) -> None:
    anneal = config.train.optim.anneal_lr
    kind = str(anneal.type).lower()
    if kind == "none":
        return
    if anneal.reload_best_model_after_anneal_lr and not config.output.best_model.do_get_best_model:
        raise ConfigError(
            "train.optim.anneal_lr.reload_best_model_after_anneal_lr: True needs a best model to reload; "
            "set output.best_model.do_get_best_model True, or this key False"
        )
    if kind == "multisteplr":
        milestones = anneal.milestones
        if not _every(lambda m: m > 0 and isinstance(m, int))(milestones) or any(
            a >= b for a, b in pairwise(milestones)
        ):
            raise ConfigError(
                f"train.optim.anneal_lr.milestones: expected rising positive iterations, got {milestones!r}"
            )
    if kind == "reducelronplateau":
        known = _evaluation_quantities(config)
        if anneal.quantity_to_monitor not in known:
            raise ConfigError(
                f"train.optim.anneal_lr.quantity_to_monitor: expected one of {', '.join(known)}, "
                f"got {anneal.quantity_to_monitor!r}"
            )


def _evaluation_quantities(config: CfgNode) -> list[str]:
    datasets = evaluated_datasets(config).values()
    return [on_dataset(metric, dataset) for dataset in datasets for metric in evaluation_names(config)]


def _check_best_model(config: CfgNode) -> None:
    dataset, metric = best_model_metric(config)
    datasets = evaluated_datasets(config)
    if dataset not in datasets.values():
        raise ConfigError(
            f"output.best_model.dataset: expected one of eval.dataset_names ({', '.join(datasets)}), "
            f"got {config.output.best_model.dataset!r}"
        )
    choose("output.best_model.metric", metric, dict.fromkeys(evaluation_names(config)))


def _check_dataset_name(name: str, config: CfgNode) -> None:
    """Check that a data set name exists; its files are looked at elsewhere, they may lie on another machine."""
    if not is_known(name):
        find_dataset(name, data_root(config))
    if lacks_class_images(name):
        raise ConfigError(
            f"data set {name!r}: has boxes but no class images, which OS2D needs for training and evaluation; it "
            "serves a detector of all classes"
        )
