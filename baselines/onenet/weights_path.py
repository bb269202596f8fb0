"""Where the weights file that a configuration names lies.

Light on purpose (no torch): planners ask too.
"""

from __future__ import annotations

from pathlib import Path

from os2d.download.sources import MODELS_FOLDER
from os2d.errors import CheckpointError
from os2d.modeling.missing_weights import why_missing

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
    """Return the file that ``MODEL.WEIGHTS`` names: a path, the name of a file in ``models``, or of the catalog.

    Raises:
        CheckpointError: there is no such file; the message says how to get it.
    """
    if name.startswith(CATALOG):
        path = Path(MODELS_FOLDER, CATALOG.removesuffix("://"), name.removeprefix(CATALOG))
    elif Path(name).name == name and not Path(name).exists():
        path = Path(MODELS_FOLDER, name)
    else:
        path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.name == RESNET18:
        raise CheckpointError(f"MODEL.WEIGHTS {name}: no such weights file; {HOW_TO_GET_RESNET18}")
    raise CheckpointError(f"MODEL.WEIGHTS {name}: {why_missing(path)}")
