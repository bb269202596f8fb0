"""What the retrieval tasks leave in their folders and find in those of the runs they need."""

from __future__ import annotations

from pathlib import Path

from baselines.detector_retrieval.kept_files import kept_file
from os2d.data.catalog import resolved_root
from os2d.errors import ConfigError
from os2d.run import Run

DATA_INPUT, NETWORK_INPUT, WHITENING_INPUT = "data", "retrieval", "whitening"
"""The needs through which a task gets prepared data sets, a trained network and a learned whitening."""

WHITENING_FILE = "whitening.pth"

PREPARED_FOLDER = "retrieval_data"
"""Where the task that prepares data sets puts them, unless it is told a folder."""

BEST_CHECKPOINT, EPOCH_CHECKPOINT = "model_best.pth.tar", "model_epoch{}.pth.tar"


def command_line_folder(given: str | None) -> Path:
    """Return the folder of prepared data sets for a command: the given one, else ``retrieval`` below the data root."""
    return Path(given).expanduser() if given else resolved_root(None) / "retrieval"


def data_folder(path: str, run: Run) -> Path:
    """Return the folder of the prepared data sets: that of the need ``data``, else the configured one.

    Raises:
        ConfigError: neither is given.
    """
    if DATA_INPUT in run.inputs:
        return run.inputs[DATA_INPUT] / PREPARED_FOLDER
    if not path:
        raise ConfigError(
            "data.path: expected the folder that the task retrieval_prepare has written, or a need named "
            f"{DATA_INPUT!r} that prepares it; got neither"
        )
    return Path(path).expanduser()


def network_file(key: str, path: str, run: Run) -> Path:
    """Return the checkpoint of the network: the best one of the need ``retrieval``, else the configured file.

    Raises:
        ConfigError: neither is given.
        CheckpointError: the needed run left no checkpoint.
    """
    if NETWORK_INPUT not in run.inputs:
        if not path:
            raise ConfigError(
                f"{key}: expected the checkpoint of a retrieval network, or a need named {NETWORK_INPUT!r} that "
                "trains it; got neither"
            )
        return Path(path).expanduser()
    return kept_file(run.inputs[NETWORK_INPUT], BEST_CHECKPOINT)
