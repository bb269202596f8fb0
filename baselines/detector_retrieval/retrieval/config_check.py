"""Checks of the configurations of the retrieval tasks, and what they read from disk.

Light on purpose (no torch): planners check every trial.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from baselines.config_rules import (
    Rule,
    check_dataset_name,
    check_tree,
    is_not_negative,
    is_positive,
    is_share,
    is_whole,
)
from os2d.data.catalog import resolved_root
from os2d.data.fingerprint import dataset_fingerprint, file_fingerprint, weights_fingerprint
from os2d.errors import ConfigError
from os2d.run import MissingInput

_RUNTIME = (
    Rule("a whole number, 0 or more", is_whole(0), ("runtime.num_workers", "runtime.num_threads", "random_seed")),
    Rule("a positive number", is_positive, ("runtime.checkpoint_seconds",)),
)
_IMAGE_SIZE = Rule("a whole number, 1 or more", is_whole(1), ("data.image_size",))


PREPARATION_RULES = (
    *_RUNTIME,
    Rule("a positive number", is_positive, ("prepare.train_scale", "prepare.val_scale")),
    Rule("a whole number, 0 or more", is_whole(0), ("prepare.random_crops", "prepare.pairs_per_object")),
    Rule("a number from 0 to 1", is_share, ("prepare.positive_iou", "prepare.negative_iou")),
)

TRAINING_RULES = (
    *_RUNTIME,
    _IMAGE_SIZE,
    Rule(
        "a whole number, 1 or more",
        is_whole(1),
        ("train.negatives", "train.queries", "train.pool", "train.batch_size", "eval.iter"),
    ),
    Rule("a whole number, 0 or more", is_whole(0), ("train.epochs",)),
    Rule("a positive number", is_positive, ("train.lr", "train.margin", "train.pooling_lr_factor")),
    Rule(
        "0 or a positive number",
        is_not_negative,
        ("train.weight_decay", "train.momentum", "train.lr_decay", "output.save_epochs"),
    ),
)

TRAINING_CHOICES = {
    "network.arch": ("resnet18", "resnet34", "resnet50", "resnet101"),
    "network.pooling": ("gem", "mac", "spoc", "rmac"),
    "train.loss": ("contrastive", "triplet"),
    "train.optim_method": ("adam", "sgd"),
}


def check_preparation(config: CfgNode) -> None:
    """Check the configuration of a preparation.

    Raises:
        ConfigError: a value or a combination cannot be used.
        DataError: a data set does not exist.
    """
    check_tree(config, {}, PREPARATION_RULES)
    prepare = config.prepare
    if prepare.negative_iou > prepare.positive_iou:
        raise ConfigError(
            f"prepare.negative_iou: expected at most prepare.positive_iou ({prepare.positive_iou}), "
            f"got {prepare.negative_iou}"
        )
    for key, name in (("prepare.train", prepare.train), ("prepare.val", prepare.val)):
        check_dataset_name(key, name, config.runtime.data_root)
    for name in prepare.tests:
        check_dataset_name("prepare.tests", name, config.runtime.data_root)
    if not all(map(is_positive, prepare.test_scales)) or len(prepare.test_scales) not in (1, len(prepare.tests)):
        raise ConfigError(
            f"prepare.test_scales: expected one positive number, or one for each of the {len(prepare.tests)} data sets "
            f"of prepare.tests, got {prepare.test_scales!r}"
        )


def check_training(config: CfgNode) -> None:
    """Check the configuration of a training.

    Raises:
        ConfigError: a value or a combination cannot be used.
    """
    check_tree(config, TRAINING_CHOICES, TRAINING_RULES)
    _check_names("data.tests", config.data.tests)
    if not config.data.tests:
        raise ConfigError(
            "data.tests: expected at least one data set, which decides what network is the best; got none"
        )
    _check_names("data.train", [config.data.train])
    if config.init.whitening and not config.network.whitening:
        raise ConfigError("init.whitening: the network has no whitening layer; set network.whitening True, or leave it")


def check_whitening(config: CfgNode) -> None:
    """Check the configuration of learning a whitening.

    Raises:
        ConfigError: a value cannot be used.
    """
    check_tree(config, {}, (*_RUNTIME, _IMAGE_SIZE))
    _check_names("data.train", [config.data.train])
    _check_names("data.tests", config.data.tests)
    if not config.scales or not all(map(is_positive, config.scales)):
        raise ConfigError(f"scales: expected at least one positive number, got {config.scales!r}")


def preparation_fingerprints(config: CfgNode) -> Mapping[str, str]:
    """Return name -> hash of every detection data set."""
    root = resolved_root(config.runtime.data_root)
    names = dict.fromkeys([config.prepare.train, config.prepare.val, *config.prepare.tests])
    return {name: dataset_fingerprint(name, root) for name in names}


def training_fingerprints(config: CfgNode) -> Mapping[str, str]:
    """Return name -> hash of the lists of prepared data and of the files to start from."""
    found = _lists_fingerprints(config.data)
    for key in ("network", "whitening"):
        if config.init[key]:
            found[f"init.{key}"] = weights_fingerprint(f"init.{key}", Path(config.init[key]))
    return found


def whitening_fingerprints(config: CfgNode) -> Mapping[str, str]:
    """Return name -> hash of the lists of prepared data and of the network."""
    found = _lists_fingerprints(config.data)
    if config.network:
        found["network"] = weights_fingerprint("network", Path(config.network))
    return found


def _lists_fingerprints(data: CfgNode) -> dict[str, str]:
    """Return the hashes of the lists below ``data.path``, and of the sizes of their pictures.

    Where a need prepares the data there is no path, and its signature stands for them.
    """
    if not data.path:
        return {}
    root = Path(data.path).expanduser()
    lists = {data.train: root / "train" / data.train / f"{data.train}.pkl"}
    lists |= {name: root / "test" / name / f"gnd_{name}.pkl" for name in data.tests}
    return {name: _folder_fingerprint(path) for name, path in lists.items()}


def _folder_fingerprint(lists: Path) -> str:
    if not lists.is_file():
        how = "set it to the folder that the task retrieval_prepare has written"
        return MissingInput(f"data.path: no such list: {lists}", how)
    pictures = sorted(path for path in lists.parent.rglob("*") if path.is_file() and path.suffix != ".pkl")
    sizes = "".join(f"{path.relative_to(lists.parent)} {path.stat().st_size}\n" for path in pictures)
    return hashlib.sha256(f"{file_fingerprint(lists)}\n{sizes}".encode()).hexdigest()


def _check_names(key: str, names: Any) -> None:
    for name in names:
        if not isinstance(name, str) or not name or "/" in name:
            raise ConfigError(f"{key}: expected the name of a prepared data set, got {name!r}")
