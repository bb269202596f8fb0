"""``oneshot data link-imagenet``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from os2d.data.catalog import REPMET_FOLDER
from os2d.data.imagenet_folders import link_imagenet_folders


def link_imagenet(
    data_root: Annotated[
        Path, typer.Option("--data-root", envvar="ONESHOT_DATA", help="the folder of all named data sets")
    ] = Path("data"),
    output: Annotated[
        Path | None,
        typer.Option(help="holds train/ and val/ (default: pretrain/imagenet-repmet beside ILSVRC)"),
    ] = None,
) -> None:
    """Link ImageNet without the 214 test classes of RepMet into class folders, to pretrain a classifier on.

    Photos are not copied. A training script for ImageNet takes the folder as it is; `oneshot models convert` brings
    the weights it writes to the retrieval network (--to cirtorch) and to the detector (--to maskrcnn-benchmark).
    """
    folder = data_root / REPMET_FOLDER
    made = link_imagenet_folders(folder, output or folder / "pretrain" / "imagenet-repmet")
    print(f"{made.target}: {made.classes} classes, {made.excluded} left out, {made.validation_photos} photos in val")
