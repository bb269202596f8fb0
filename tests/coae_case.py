"""The smallest CoAE that can be trained on the smallest generated data."""

from pathlib import Path

from yacs.config import CfgNode

from baselines.coae import tasks

SMALL_COAE = {
    "is_cuda": False,
    "random_seed": 3,
    "model.net": "res18",
    "model.group_norm": True,
    "model.fixed_blocks": -1,
    "model.query_size": 32,
    "model.anchor_scales": [1.0, 2.0],
    "train.batch_size": 3,
    "train.epochs": 2,
    "train.scales": [64, 80],
    "train.proposals.before_nms": 100,
    "train.proposals.after_nms": 20,
    "train.rpn.samples": 32,
    "train.head.samples": 8,
    "train.optim.lr": 1e-3,
    "train.optim.milestones": [2],
    "eval.iter": 2,
    "eval.scales": [64],
    "eval.proposals.before_nms": 50,
    "eval.proposals.after_nms": 5,
    "runtime.num_workers": 0,
    "runtime.num_threads": 1,
    "output.print_iter": 1,
}
"""Configuration key -> value."""


def config_of(shelf: Path, **overrides: object) -> CfgNode:
    """Return a checked configuration; ``__`` stands for a dot."""
    data = {"train.dataset_name": f"custom:{shelf}#train", "eval.dataset_names": [f"custom:{shelf}#val-new-cl"]}
    config = tasks.train.default_config()
    changed = {**SMALL_COAE, **data, **{name.replace("__", "."): value for name, value in overrides.items()}}
    config.merge_from_list([part for item in changed.items() for part in item])
    tasks.train.validate(config)
    config.freeze()
    return config
