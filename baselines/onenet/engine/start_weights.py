"""Which weights a task starts from."""

from __future__ import annotations

import re
from pathlib import Path

from yacs.config import CfgNode

from baselines.onenet.modeling.model import OneNet
from baselines.onenet.modeling.weights import load_init_model, load_initial_weights
from os2d.engine.initial_weights import needed_network
from os2d.errors import CheckpointError
from os2d.run import Run

FINAL = "model_final.pth"
"""The network after the last iteration."""


def checkpoint_name(iteration: int) -> str:
    """Return the file name of the network after ``iteration`` iterations; the name has the last of them, from 0."""
    return f"model_{iteration - 1:07d}.pth"


def load_start_weights(model: OneNet, config: CfgNode, run: Run) -> None:
    """Load the network of the finished run ``model`` that the run needs, else ``MODEL.WEIGHTS``, else nothing.

    Raises:
        CheckpointError: the file is missing, unreadable or of another network.
    """
    trained = needed_network(run, trained_checkpoint, config.MODEL.WEIGHTS or f"random, seed {config.SEED}")
    if trained is not None:
        load_init_model(model, trained)
    else:
        load_initial_weights(model, config)


def trained_checkpoint(folder: Path) -> Path:
    """Return the network that a finished training left in its folder; the newest one if it has no final one."""
    files = {path.name: path for place in (folder, folder / "checkpoints") for path in place.glob("model_*.pth")}
    numbered = sorted(name for name in files if re.fullmatch(r"model_\d{7}\.pth", name))
    if FINAL not in files and not numbered:
        raise CheckpointError(f"{folder}: expected {FINAL} or model_*.pth of a finished training, found neither")
    return files[FINAL if FINAL in files else numbered[-1]]
