"""Writing what a retrieval network learns from: crops and class images as files, and lists of what matches.

The layout and the lists are those of the retrieval toolbox, so that either program reads what the other has prepared:

    train/<train set>/ims/...                 crops and class images of the training and the validation set
    train/<train set>/<train set>.pkl         lists of both
    train/<train set>/<train set>-whiten.pkl  lists of the training set
    test/<test set>/jpg/...                   crops and class images of a test set
    test/<test set>/gnd_<test set>.pkl        its queries, and what they should find
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image

from baselines.detector_retrieval.retrieval.crops import Crop, class_crops, crops_of, path_of
from baselines.detector_retrieval.retrieval.pairs import Overlap, evaluation_queries, training_pairs
from os2d.data.dataset import DatasetOneShotDetection
from os2d.whole_file import whole_file

TRAIN, TEST = "train", "test"
IMAGES_OF_TRAINING, IMAGES_OF_TEST = "ims", "jpg"
TEST_ENDING = ".jpg"
"""Files of a training set have no ending."""


@dataclass(frozen=True)
class DetectionSet:
    """A detection data set, and the image size at which its objects are seen."""

    dataset: DatasetOneShotDetection
    scale: float


@dataclass(frozen=True)
class Settings:
    """How crops become pairs; see :mod:`baselines.detector_retrieval.retrieval.pairs`."""

    random_crops: int = 0
    overlap: Overlap = field(default_factory=Overlap)
    pairs_per_object: int = 0
    seed: int = 42


@dataclass(frozen=True)
class Part:
    """The pictures of one detection data set and where they go."""

    dataset: DatasetOneShotDetection
    folder: Path
    ending: str
    crops: list[Crop]
    classes: list[Crop]
    taken: frozenset[str] = frozenset()
    """Names under which another part writes other pictures to the same folder."""

    def id_of(self, crop: Crop) -> str:
        """Return the name of a picture."""
        return f"val_{crop.id}" if crop.id in self.taken else crop.id

    def file_of(self, crop: Crop) -> Path:
        """Return where a picture is written."""
        return self.folder / (path_of(self.id_of(crop)) + self.ending)

    def images(self) -> Iterator[tuple[int, list[Crop]]]:
        """Yield every image with its crops."""
        of_image: dict[int, list[Crop]] = {}
        for crop in self.crops:
            assert crop.image_id is not None
            of_image.setdefault(crop.image_id, []).append(crop)
        yield from of_image.items()


def retrieval_name(dataset: str, random_crops: int) -> str:
    """Return the name of the retrieval data set made of a detection data set."""
    return f"{dataset}-retrieval" + (f"-rndCropPerImage{random_crops}" if random_crops else "")


class Preparation:
    """Everything that is to be written, known before the first file is.

    Attributes:
        train_name: of the training set, which also names the folder of the validation set.
        steps: images to cut up and class images to copy.
    """

    def __init__(
        self,
        root: Path,
        train: DetectionSet,
        validation: DetectionSet,
        tests: Sequence[DetectionSet],
        settings: Settings,
    ) -> None:
        generator = torch.Generator().manual_seed(settings.seed)
        self.root, self.settings = root, settings
        self.train_name = retrieval_name(train.dataset.name, settings.random_crops)
        self.test_names = [retrieval_name(test.dataset.name, settings.random_crops) for test in tests]
        ims = root / TRAIN / self.train_name / IMAGES_OF_TRAINING
        jpg = [root / TEST / name / IMAGES_OF_TEST for name in self.test_names]
        places = [(train, ims, ""), (validation, ims, ""), *zip(tests, jpg, [TEST_ENDING] * len(tests), strict=True)]
        self.parts = [self._part(one_set, folder, ending, generator) for one_set, folder, ending in places]
        self.parts[1] = replace(self.parts[1], taken=_shared_names(*self.parts[:2]))
        self.steps = [
            *(partial(_cut_image, part, i, crops) for part in self.parts for i, crops in part.images()),
            *(partial(_copy_class_image, part, crop) for part in self.parts for crop in part.classes),
        ]

    def _part(self, one_set: DetectionSet, folder: Path, ending: str, generator: torch.Generator) -> Part:
        rand = partial(_rows_of_four, generator)
        crops = list(crops_of(one_set.dataset, one_set.scale, self.settings.random_crops, rand))
        return Part(one_set.dataset, folder, ending, crops, list(class_crops(one_set.dataset)))

    def write_lists(self) -> dict[str, int]:
        """Write the lists, which makes the data sets usable; return how many pairs and queries there are."""
        rng, settings = Random(self.settings.seed), self.settings
        chosen = settings.overlap, settings.pairs_per_object, rng
        train, validation = (_training_lists(part, *chosen) for part in self.parts[:2])
        folder = self.root / TRAIN / self.train_name
        _write_pickle(folder / f"{self.train_name}.pkl", {"train": train, "val": validation})
        _write_pickle(folder / f"{self.train_name}-whiten.pkl", train)
        queries = 0
        for name, part in zip(self.test_names, self.parts[2:], strict=True):
            lists = _test_lists(part, *chosen)
            queries += len(lists["gnd"])
            _write_pickle(self.root / TEST / name / f"gnd_{name}.pkl", lists)
        return {
            "train_pairs": len(train["qidxs"]),
            "val_pairs": len(validation["qidxs"]),
            "test_queries": queries,
            "pictures": sum(len(part.crops) + len(part.classes) for part in self.parts),
        }


def _rows_of_four(generator: torch.Generator, count: int) -> torch.Tensor:
    return torch.rand(count, 4, generator=generator)


def _shared_names(train: Part, validation: Part) -> frozenset[str]:
    """Return the names that both sets give to different pictures, as ImageNet's do: both count images from 0."""
    ours, theirs = ({crop.id: crop for crop in (*part.crops, *part.classes)} for part in (train, validation))
    return frozenset(
        crop_id
        for crop_id in ours.keys() & theirs.keys()
        if _origin(train, ours[crop_id]) != _origin(validation, theirs[crop_id])
    )


def _origin(part: Part, crop: Crop) -> tuple[Path, tuple[int, int, int, int]]:
    if crop.image_id is None:
        return part.dataset.class_image_path(crop.class_id), crop.pixels
    return part.dataset.image_path(crop.image_id), crop.pixels


def _cut_image(part: Part, image_id: int, crops: Sequence[Crop]) -> None:
    image = part.dataset.load_image(image_id)
    for crop in crops:
        _write_jpeg(crop.cut(image), part.file_of(crop))


def _copy_class_image(part: Part, crop: Crop) -> None:
    _write_jpeg(part.dataset.class_image(crop.class_id), part.file_of(crop))


def _write_jpeg(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, format="jpeg")


def _training_lists(part: Part, overlap: Overlap, per_object: int, rng: Random) -> dict[str, list[Any]]:
    pairs = training_pairs(part.crops, part.classes, overlap, per_object, rng)
    pictures = [*part.crops, *part.classes]
    return {
        "cids": [part.id_of(crop) for crop in pictures],
        "cluster": pairs.clusters,
        "gtbboxid": [crop.number for crop in pictures],
        "classid": [crop.class_id for crop in pictures],
        "imageid": [crop.image_id for crop in pictures],
        "difficult": [crop.difficult for crop in pictures],
        "type": [crop.kind.type for crop in pictures],
        "size": [crop.size for crop in pictures],
        "bbox": [list(crop.box_xyxy) for crop in pictures],
        "qidxs": pairs.queries,
        "pidxs": pairs.positives,
    }


def _test_lists(part: Part, overlap: Overlap, per_object: int, rng: Random) -> dict[str, list[Any]]:
    queries = evaluation_queries(part.crops, part.classes, overlap, per_object, rng)
    return {
        "gnd": [{"bbx": list(q.box_xyxy), "ok": list(q.relevance.ok), "junk": list(q.relevance.junk)} for q in queries],
        "imlist": [path_of(crop.id) for crop in part.crops],
        "qimlist": [path_of(query.crop.id) for query in queries],
    }


def _write_pickle(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        unfinished.write_bytes(pickle.dumps(content))
