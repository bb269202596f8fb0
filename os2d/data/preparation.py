"""Make what a data set lacks: draw the generated one, convert those that are published in another layout."""

from __future__ import annotations

from pathlib import Path

from os2d.data.catalog import ConvertedFrom, DatasetSource
from os2d.data.ilsvrc import ensure_ilsvrc
from os2d.data.instre import ensure_instre
from os2d.data.repmet import ensure_episode
from os2d.data.shelf.store import ensure_shelf


def prepare(source: DatasetSource, data_root: Path) -> None:
    """See to it that the table of a data set is there, with its class images; a quick look if it is.

    Raises:
        DataError: the files it is made from are missing or wrong, or the folder cannot be written.
    """
    if source.shelf is not None:
        ensure_shelf(data_root, source.shelf)
    conversion = source.conversion
    if conversion is None:
        return
    match conversion.origin:
        case ConvertedFrom.INSTRE:
            ensure_instre(conversion.folder, source.annotation)
        case ConvertedFrom.REPMET_EPISODE:
            ensure_episode(conversion.folder, source.annotation, conversion.episode)
        case ConvertedFrom.ILSVRC_TRAIN | ConvertedFrom.ILSVRC_VAL:
            ensure_ilsvrc(conversion.folder, source.annotation, conversion.origin)
