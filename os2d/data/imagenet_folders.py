"""ImageNet without the test classes of RepMet, as class folders of links: what classifiers are pretrained on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from os2d.data.ilsvrc import annotation_files, excluded_wnids, read_photo_annotation
from os2d.errors import DataError

PARTS = ("train", "val")


@dataclass(frozen=True)
class ImageNetFolders:
    """What was linked.

    Args:
        target: holds ``train/<wnid>`` and ``val/<wnid>``, as torchvision's ImageFolder reads them.
        classes: how many class folders each has.
        excluded: how many classes of the training photos were left out.
        validation_photos: how many links ``val`` has.
    """

    target: Path
    classes: int
    excluded: int
    validation_photos: int


def link_imagenet_folders(folder: Path, target: Path) -> ImageNetFolders:
    """Link the photos of all classes but the test classes of RepMet; a part appears complete or not at all.

    Args:
        folder: holds ``ILSVRC``, as the data sets ``imagenet-repmet-*`` want it.
        target: where ``train`` and ``val`` are made; neither may exist.

    Raises:
        DataError: photos, annotations or the list of test classes are missing, or a part is there already.
    """
    for part in PARTS:
        if (target / part).exists():
            raise DataError(f"{target / part}: is there already; move it away to link anew")
    photos = folder / "ILSVRC" / "Data" / "CLS-LOC"
    if not (photos / "train").is_dir():
        raise DataError(f"{photos / 'train'}: no such folder; expected the training photos of ILSVRC, a folder a class")
    excluded = excluded_wnids(folder)
    found = [path.name for path in (photos / "train").glob("n*") if path.is_dir()]
    kept = sorted(set(found) - excluded)
    if not kept:
        raise DataError(f"{photos / 'train'}: expected folders such as n01440764, found none that is not a test class")
    wanted = frozenset(kept)
    class_of_photo = {
        f"{photo.name}.JPEG": photo.boxes[0].wnid
        for photo in map(read_photo_annotation, annotation_files(folder, "val"))
        if photo.boxes and photo.boxes[0].wnid in wanted
    }
    _make(target / "train", (), ((wnid, photos / "train" / wnid) for wnid in kept))
    links = ((f"{wnid}/{name}", photos / "val" / name) for name, wnid in class_of_photo.items())
    _make(target / "val", kept, links)
    return ImageNetFolders(target, len(kept), len(found) - len(kept), len(class_of_photo))


def _make(part: Path, folders: Iterable[str], links: Iterable[tuple[str, Path]]) -> None:
    """Make a folder of links under another name, then give it its own."""
    unfinished = part.with_name(f".{part.name}.{os.getpid()}.tmp")
    try:
        unfinished.mkdir(parents=True)
        for name in folders:
            (unfinished / name).mkdir()
        for name, photo in links:
            (unfinished / name).symlink_to(photo.absolute())
        unfinished.rename(part)
    except OSError as e:
        raise DataError(f"{part}: cannot be made: {e.strerror}") from e
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
