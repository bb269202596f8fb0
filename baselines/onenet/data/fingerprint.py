"""Hashes of the data sets that a configuration reads, so that other data is another experiment.

Light on purpose (no torch): planners ask for them once per trial.
"""

from __future__ import annotations

import hashlib

from yacs.config import CfgNode

from baselines.onenet.data.catalog import DatasetSource, advice, find_source
from baselines.onenet.data.coco_file import read_coco, unreadable
from os2d.data.fingerprint import looked_up, remembered_hashes, size_and_time
from os2d.errors import DataError
from os2d.run import MissingInput


def dataset_fingerprints(config: CfgNode, *, reads_train_sets: bool) -> dict[str, str]:
    """Return name -> hash of every data set of ``DATASETS`` that is read.

    Raises:
        ConfigError: a name is unknown.
        DataError: a file is missing or wrong.
    """
    names = [*(config.DATASETS.TRAIN if reads_train_sets else ()), *config.DATASETS.TEST]
    return {name: dataset_fingerprint(find_source(name, config)) for name in dict.fromkeys(names)}


def dataset_fingerprint(source: DatasetSource) -> str:
    """Return the hash of an annotation file and, of the user's own data, of every image that it names.

    The photos of a published data set are those of the publisher; 19 GB of them are not read to plan a trial. A
    published data set that is not there is a :class:`~os2d.run.MissingInput`.

    Raises:
        DataError: a file is missing or wrong.
    """
    if source.is_published and not source.annotations.exists():
        return MissingInput(f"data set {source.name}", advice(source))
    state = (size_and_time(source.annotations), size_and_time(source.images))
    return looked_up(source, state, lambda: _fingerprint_of_files(source))


def _fingerprint_of_files(source: DatasetSource) -> str:
    hashes = remembered_hashes()
    try:
        total = hashlib.sha256(hashes.of(source.annotations).encode())
    except OSError as e:
        raise unreadable(source, e) from e
    if not source.is_published:
        dataset = read_coco(source)
        for index, name in enumerate(dataset.file_names):
            try:
                total.update(f"\n{name}\n{hashes.of(dataset.image_path(index))}".encode())
            except OSError as e:
                path, named_by = dataset.image_path(index), dataset.named_by(index)
                raise DataError(f"{path}: cannot be read: {e.strerror} (named by {named_by})") from e
    hashes.save()
    return total.hexdigest()
