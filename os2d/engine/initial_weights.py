"""Which weights a task starts from."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from os2d.errors import CheckpointError
from os2d.modeling.checkpoint import kept_keys, load_init_model, load_initial_weights
from os2d.modeling.network import Os2d
from os2d.run import Run

logger = logging.getLogger(__name__)

MODEL_INPUT = "model"
"""The need through which a task gets the network of a finished training."""

BEST_PREFIX, ITERATION_PREFIX, SUFFIX = "checkpoint_best_model_", "checkpoint_iter_", ".pth"


def best_checkpoint_name(dataset: str, metric: str) -> str:
    """Return the file name of the best network by a metric."""
    return f"{BEST_PREFIX}{dataset}_{metric}{SUFFIX}"


def iteration_checkpoint_name(iteration: int) -> str:
    """Return the file name of the network after so many steps."""
    return f"{ITERATION_PREFIX}{iteration}{SUFFIX}"


def load_start_weights(model: Os2d, config: CfgNode, run: Run) -> dict[str, Any] | None:
    """Load the network of the finished run ``model`` that the run needs, else what ``init`` names, else nothing.

    Returns:
        The state of the optimiser if ``init.model`` has one.

    Raises:
        CheckpointError: the file is missing, unreadable or of another network.
    """
    trained = needed_network(run, trained_checkpoint, config.init.model or f"random, seed {config.random_seed}")
    if trained is not None:
        load_init_model(model, trained, kept_keys(config.init))
        return None
    return load_initial_weights(model, config.init)


def needed_network(run: Run, find_trained: Callable[[Path], Path], otherwise: str) -> Path | None:
    """Return the network of the finished run ``model``; None if the run needs none. The log tells what it starts from.

    Args:
        run: which may need another one.
        find_trained: folder of a finished training -> its network.
        otherwise: what it starts from if it needs none, for the log.
    """
    trained = find_trained(run.inputs[MODEL_INPUT]) if MODEL_INPUT in run.inputs else None
    logger.info("weights: %s", trained or otherwise)
    return trained


def trained_checkpoint(folder: Path) -> Path:
    """Return the best network that a finished training left in its folder, else the newest one."""
    files = [path for place in (folder, folder / "checkpoints") for path in sorted(place.glob(f"*{SUFFIX}"))]
    best = [path for path in files if path.name.startswith(BEST_PREFIX)]
    if len(best) > 1:
        names = ", ".join(path.name for path in best)
        raise CheckpointError(f"{folder}: expected one best network, found {names}; set init.model to the one you want")
    numbered = {
        int(m[1]): path for path in files if (m := re.fullmatch(rf"{ITERATION_PREFIX}(\d+){SUFFIX}", path.name))
    }
    if not best and not numbered:
        raise CheckpointError(
            f"{folder}: expected {BEST_PREFIX}*{SUFFIX} or {ITERATION_PREFIX}*{SUFFIX} of a finished training, "
            "found neither"
        )
    return best[0] if best else numbered[max(numbered)]
