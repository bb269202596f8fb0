"""A training that takes seconds; ``tiny_training.py FOLDER`` runs the one that ``config.yml`` there describes."""

import json
import sys
from pathlib import Path

from yacs.config import CfgNode

from os2d import tasks
from os2d.config import default_config
from os2d.console import ConsoleRun, RunInterruptedError
from os2d.distributed import process_group
from tests.small_case import SMALL_NETWORK


def config_of(shelf: Path, **overrides: object) -> CfgNode:
    """Return a checked configuration; in names of overrides two underscores may stand for a dot."""
    values: dict[str, object] = {
        **SMALL_NETWORK,
        "random_seed": 3,
        "train.dataset_name": f"custom:{shelf}#train",
        "train.dataset_scale": 112.0,
        "train.batch_size": 3,
        "train.class_batch_size": 3,
        "train.augment.train_patch_width": 64,
        "train.augment.train_patch_height": 64,
        "train.optim.lr": 1e-3,
        "train.optim.max_iter": 4,
        "eval.iter": 4,
        "eval.dataset_names": [f"custom:{shelf}#val-new-cl"],
        "eval.dataset_scales": [112.0],
        "eval.scales_of_image_pyramid": [1.0],
        "output.save_iter": 0,
        "output.best_model.do_get_best_model": True,
        "runtime.num_workers": 0,
        "runtime.num_threads": 1,
    }
    config = default_config()
    changed = {**values, **{name.replace("__", "."): value for name, value in overrides.items()}}
    config.merge_from_list([part for item in changed.items() for part in item])
    tasks.train.validate(config)
    config.freeze()
    return config


def logged(folder: Path) -> dict[int, dict[str, float]]:
    """Return step -> the metrics that a training logged there."""
    steps: dict[int, dict[str, float]] = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        entry = json.loads(line)
        steps.setdefault(entry["step"], {}).update(entry["metrics"])
    return steps


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with (folder / "config.yml").open() as stream:
        config = default_config()
        config.merge_from_other_cfg(CfgNode.load_cfg(stream))
    try:
        with process_group(config.is_cuda), ConsoleRun(folder, config.random_seed) as run:
            tasks.train(config, run)
    except RunInterruptedError as e:
        sys.exit(e.exit_code)
