"""Which weights a task starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from baselines.coae.modeling.model import CoAE
from baselines.coae.modeling.weights import load_init_model
from os2d.engine.initial_weights import needed_network
from os2d.errors import CheckpointError
from os2d.run import Run

BEST_PREFIX, SUFFIX = "best_model_", ".pth"


def best_checkpoint_name(session: int) -> str:
    """Return the file name of the best network so far."""
    return f"{BEST_PREFIX}{session}{SUFFIX}"


def epoch_checkpoint_name(session: int, epoch: int, step: int) -> str:
    """Return the file name of the network after a step of an epoch; the number in it is that of the next epoch."""
    return f"faster_rcnn_{session}_{epoch + 1}_{step}{SUFFIX}"


def load_start_weights(model: CoAE, config: CfgNode, run: Run) -> dict[str, Any] | None:
    """Load the network of the finished run ``model`` that the run needs, else what ``init`` names, else nothing.

    Returns:
        The state of the optimiser if ``init.model`` has one.

    Raises:
        CheckpointError: the file is missing, unreadable or of another network.
    """
    trained = needed_network(run, trained_checkpoint, config.init.model or f"random, seed {config.random_seed}")
    if trained is not None:
        load_init_model(model, trained)
        return None
    return load_init_model(model, config.init.model) if config.init.model else None


def trained_checkpoint(folder: Path) -> Path:
    """Return the best network that a finished training left in its folder.

    Raises:
        CheckpointError: there is none, or there are those of several sessions.
    """
    found = sorted(path for place in (folder, folder / "checkpoints") for path in place.glob(f"{BEST_PREFIX}*{SUFFIX}"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise CheckpointError(
            f"{folder}: expected one {BEST_PREFIX}*{SUFFIX} of a finished training, found {names}; set init.model to "
            "the file you want"
        )
    return found[0]
