"""Which named data sets are on this machine.

Light on purpose (no torch, no pandas).
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from os2d.data.catalog import EPISODES, REPMET_FOLDER, dataset_names, find_dataset
from os2d.errors import DataError


class State(Enum):
    """What has to happen before a data set can be used; converting and drawing happen by themselves on first use."""

    READY = "ready"
    TO_CONVERT = "to convert"
    TO_DRAW = "to draw"
    ABSENT = "absent"


def state_of(name: str, root: Path) -> State:
    """Return what has to happen before a known data set can be used; only the main files are looked for."""
    try:
        source = find_dataset(name, root)
    except DataError:
        return State.ABSENT
    if source.annotation.is_file() and source.images.is_dir():
        return State.READY
    if source.shelf is not None:
        return State.TO_DRAW
    conversion = source.conversion
    if conversion is not None and source.images.is_dir() and any(path.is_file() for path in conversion.decided_by):
        return State.TO_CONVERT
    return State.ABSENT


def present_names(root: Path) -> list[str]:
    """Return the names of the data sets whose files lie below a folder; of the episodes, those with a table."""
    tables = (root / REPMET_FOLDER / EPISODES).glob("classes_episode_*/*.csv")
    numbers = sorted(int(path.stem.rpartition("_")[2]) for path in tables)
    names = [name for name in dataset_names() if "<" not in name]
    names += [f"imagenet-repmet-test-episode-{number}" for number in numbers]
    return [name for name in names if state_of(name, root) in (State.READY, State.TO_CONVERT)]
