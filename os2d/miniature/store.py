"""Write the miniature once, into a folder that several processes share."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from os2d.data.generated_folder import ensure_folder
from os2d.miniature.coco import write_coco
from os2d.miniature.imagenet import write_imagenet
from os2d.miniature.instre import write_instre
from os2d.miniature.parameters import MiniatureParameters, miniature_folder
from os2d.miniature.retail import write_retail_sets

logger = logging.getLogger(__name__)

WRITERS = (write_retail_sets, write_instre, write_imagenet, write_coco)


def ensure_miniature(data_root: Path, parameters: MiniatureParameters | None = None) -> Path:
    """Return the folder of the miniature, written now if no process has written it before.

    It is a data root: it holds the folders of all published data sets, and ``models``. It appears under its name only
    when it is complete.

    Raises:
        DataError: the data root cannot be written, or the disk is full.
    """
    parameters = parameters or MiniatureParameters()
    folder = miniature_folder(data_root, parameters)
    return ensure_folder(folder, partial(_write, parameters=parameters), "the miniature", megabytes=300)


def _write(folder: Path, parameters: MiniatureParameters) -> None:
    from os2d.miniature.weights import write_weights  # torch: planning must not wait for it every time

    logger.info("writing the miniature of the published data sets")
    for write in WRITERS:
        write(folder, parameters)
    write_weights(folder, parameters)
