"""A trial that trained the smallest network, as its worker leaves it, and the data to find things in."""

import json
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from os2d.config import default_config
from os2d.config_reading import leaves, set_value
from os2d.modeling.checkpoint import save_checkpoint
from os2d.modeling.network import Os2d, build_os2d
from tests.small_case import SMALL_NETWORK

SMALL_EVALUATION = {
    "eval.dataset_scales": [140.0],  # larger than the loaded images: the frame of the results is theirs
    "eval.scales_of_image_pyramid": [0.8, 1.0],
    "runtime.num_workers": 0,
}


def small_config(**values: Any) -> CfgNode:
    """Return the configuration; in names of values two underscores stand for a dot."""
    config = default_config()
    overrides = {key.replace("__", "."): value for key, value in values.items()}
    for key, value in {**SMALL_NETWORK, **SMALL_EVALUATION, **overrides}.items():
        set_value(config, key, value, "")
    return config


def write_trial(folder: Path, config: CfgNode, metrics: dict[str, float] | None = None) -> Os2d:
    """Write a trial's folder with one checkpoint and return the network in it, which has its first random weights."""
    model = build_os2d(config)
    (folder / "checkpoints").mkdir(parents=True)
    save_checkpoint(folder / "checkpoints" / "checkpoint_iter_3.pth", model, None)
    (folder / "trial.json").write_text(json.dumps({"format": 1, "config": nested(config)}), encoding="utf-8")
    if metrics is not None:
        (folder / "result.json").write_text(json.dumps({"metrics": metrics}), encoding="utf-8")
    return model


def nested(config: CfgNode) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in leaves(config):
        *branches, name = key.split(".")
        node = tree
        for branch in branches:
            node = node.setdefault(branch, {})
        node[name] = value
    return tree
