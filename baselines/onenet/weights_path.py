"""Where the weights file that a configuration names lies.

Light on purpose (no torch): planners ask too.
"""

from __future__ import annotations

from pathlib import Path

from os2d.download.missing_weights import why_missing
from os2d.download.sources import MODELS_FOLDER
from os2d.errors import CheckpointError
from os2d.run import MissingInput

CATALOG = "detectron2://"
"""Start of a name in the catalog of detectron2; its files are kept under the same names below ``models``."""

RESNET18 = "torchvision-R-18.pkl"
"""What the published configurations call a file that everyone had to convert."""

HOW_TO_GET_RESNET18 = (
    "its weights are torchvision's, which MODEL.WEIGHTS takes as they are: oneshot models fetch resnet18-torchvision, "
    "then set MODEL.WEIGHTS models/resnet18-f37072fd.pth; or write it: "
    f"oneshot models convert models/resnet18-f37072fd.pth --to detectron2 --output {RESNET18}"
)


def find_weights(name: str) -> Path:
    """Return the file that ``MODEL.WEIGHTS`` names.

    Raises:
        CheckpointError: there is no such file; the message says how to get it.
    """
    path = weights_path(name)
    if path.is_file():
        return path
    raise CheckpointError(missing_weights(name))


def weights_path(name: str) -> Path:
    """Return the place of a file that is given by its path, its name in ``models``, or its name in the catalog."""
    if name.startswith(CATALOG):
        return Path(MODELS_FOLDER, CATALOG.removesuffix("://"), name.removeprefix(CATALOG))
    if Path(name).name == name and not Path(name).exists():
        return Path(MODELS_FOLDER, name)
    return Path(name).expanduser()


def missing_weights(name: str) -> MissingInput:
    """Return what to say about a file that is not there."""
    path = weights_path(name)
    if path.name == RESNET18:
        return MissingInput(f"MODEL.WEIGHTS {name}: no such weights file", HOW_TO_GET_RESNET18)
    what, _, how = why_missing(path).partition("; ")
    return MissingInput(f"MODEL.WEIGHTS {name}: {what}", how)
