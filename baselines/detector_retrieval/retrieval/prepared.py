"""Reading a retrieval data set that was prepared by this program or by the published one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from baselines.detector_retrieval.retrieval.crops import Box, path_of
from baselines.detector_retrieval.retrieval.preparation import (
    IMAGES_OF_TEST,
    IMAGES_OF_TRAINING,
    TEST,
    TEST_ENDING,
    TRAIN,
)
from baselines.detector_retrieval.retrieval.ranking import Relevance
from os2d.data.images import read_image
from os2d.data.normalisation import to_tensor
from os2d.errors import DataError
from os2d.safe_pickle import ForbiddenPickleError, read_pickle, values_of


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Pictures with their clusters, and pairs of their numbers.

    Args:
        name: of the data set, for messages.
        files: of the pictures.
        cluster_N: per picture; pictures of one cluster are never each other's negatives.
        query_M: per pair, number of a picture.
        positive_M: likewise.
    """

    name: str
    files: list[Path]
    cluster_N: Tensor
    query_M: Tensor
    positive_M: Tensor


@dataclass(frozen=True)
class TestSet:
    """Pictures, queries, and what each should find."""

    __test__ = False  # pytest would take it for a test

    name: str
    files: list[Path]
    query_files: list[Path]
    query_boxes: list[Box]
    relevance: list[Relevance]


@dataclass(frozen=True)
class Pictures:
    """Pictures as the network sees them in training and in tests of retrieval; a sequence of tensors (3, h, w).

    Args:
        files: of the pictures.
        size: the longer side is at most so many pixels; no picture is enlarged.
        mean: of RGB pixels in [0, 1], by which they are normalised.
        std: likewise.
        boxes: parts of the pictures, if not the whole.
    """

    files: Sequence[Path]
    size: int
    mean: Sequence[float]
    std: Sequence[float]
    boxes: Sequence[Box] | None = None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> Tensor:
        image = read_image(self.files[number])
        limit = float(self.size)
        if self.boxes is not None:
            whole = max(image.size)
            image = image.crop(self.boxes[number])
            limit *= max(image.size) / whole  # a part is seen as large as in the whole
        image.thumbnail((limit, limit), Image.Resampling.LANCZOS)
        return to_tensor(image, self.mean, self.std)


def read_training_set(root: Path, name: str, part: str) -> TrainingSet:
    """Return the part ``train`` or ``val`` of a training set.

    Raises:
        DataError: its lists are missing, unreadable or do not belong together, or it has no pair.
    """
    folder = root / TRAIN / name
    path = folder / f"{name}.pkl"
    content = _read(path)
    if not isinstance(content.get(part), Mapping):
        raise DataError(f"{path}: expected the lists of {part!r}, found {', '.join(map(str, content))}; {_ADVICE}")
    lists = _columns(content[part], ("cids", "cluster", "qidxs", "pidxs"), path)
    files = [folder / IMAGES_OF_TRAINING / path_of(str(crop_id)) for crop_id in lists["cids"]]
    columns = [torch.tensor(lists[key], dtype=torch.int64) for key in ("cluster", "qidxs", "pidxs")]
    cluster_N, query_M, positive_M = columns
    if len(cluster_N) != len(files) or len(query_M) != len(positive_M):
        raise DataError(f"{path}, {part}: lists that belong together differ in length; {_ADVICE}")
    if not len(query_M):
        raise DataError(
            f"{path}, {part}: no pair to learn from: no class image has an object that is not difficult; take another "
            "data set, or pair objects with each other (prepare.pairs_per_object)"
        )
    if max(int(query_M.max()), int(positive_M.max())) >= len(files):
        raise DataError(f"{path}, {part}: a pair names a picture that is not in the list; {_ADVICE}")
    return TrainingSet(name, files, cluster_N, query_M, positive_M)


def read_test_set(root: Path, name: str) -> TestSet:
    """Return a test set.

    Raises:
        DataError: its lists are missing, unreadable or do not belong together.
    """
    folder = root / TEST / name
    path = folder / f"gnd_{name}.pkl"
    lists = _columns(_read(path), ("gnd", "imlist", "qimlist"), path)
    if len(lists["gnd"]) != len(lists["qimlist"]):
        raise DataError(f"{path}: lists that belong together differ in length; {_ADVICE}")
    entries = [_columns(entry, ("bbx", "ok", "junk"), path) for entry in lists["gnd"]]
    images = folder / IMAGES_OF_TEST
    files, query_files = ([images / f"{f}{TEST_ENDING}" for f in lists[key]] for key in ("imlist", "qimlist"))
    boxes: list[Box] = [tuple(map(float, entry["bbx"])) for entry in entries]  # type: ignore[misc]
    return TestSet(name, files, query_files, boxes, [Relevance(entry["ok"], entry["junk"]) for entry in entries])


_ADVICE = "prepare the data set again (the task retrieval_prepare)"


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise DataError(f"{path}: no such retrieval data set; {_ADVICE.replace('again ', '')}")
    try:
        content = read_pickle(path)
    except ForbiddenPickleError as e:
        raise DataError(f"{path}: holds {e}, which lists of pictures do not need; nothing in it was run") from e
    except Exception as e:  # a damaged pickle can raise anything
        raise DataError(f"{path}: cannot be read ({type(e).__name__}); {_ADVICE}") from e
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: expected lists by name, found {type(content).__name__}; {_ADVICE}")
    return content


def _columns(content: Mapping[str, Any], keys: Sequence[str], path: Path) -> dict[str, list[Any]]:
    missing = [key for key in keys if key not in content]
    if missing:
        raise DataError(f"{path}: has no {', '.join(missing)}; {_ADVICE}")
    return {key: values_of(content[key]) for key in keys}
