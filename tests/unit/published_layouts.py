"""Miniatures of INSTRE, RepMet's episodes and ILSVRC, in the files of their publishers."""

import pickle
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image
from scipy.io import savemat

PREFIX = "/dccstor/leonidka1/data/imagenet/ILSVRC/"
EPISODES = "epi_inloc_in_domain_1_5_10_500"


def photo(path: Path, size: tuple[int, int] = (60, 40), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def cells(values: list[str]) -> np.ndarray:
    made = np.empty((1, len(values)), dtype=object)
    for k, value in enumerate(values):
        made[0, k] = value
    return made


def save_ground_truth(path: Path, queries: list[tuple[str, list[int], list[float]]], photos: list[str]) -> None:
    """A real MATLAB file; positives are numbered from 1, as MATLAB does."""
    truth = np.empty((1, len(queries)), dtype=[("ok", object), ("bbx", object)])
    for k, (_, positives, box) in enumerate(queries):
        truth[0, k] = (np.array([positives], dtype=np.uint16), np.array([box], dtype=float))
    savemat(path, {"qimlist": cells([name for name, _, _ in queries]), "imlist": cells(photos), "gnd": truth})


def draw_instre(root: Path) -> Path:
    """Four queries: S1 of kind a and of kind b, M (to be skipped), S2; six photos."""
    folder = root / "instre"
    boxes = {
        "INSTRE-S1/01a_tea/001.jpg": "6 4 30 20\n",
        "INSTRE-S1/01a_tea/002.jpg": "0 0 60 40\n",
        "INSTRE-S1/01b_cup/001.jpg": "12 8 24 16\n",
        "INSTRE-M/01_tea_cup/001.jpg": "3 2 6 4\n30 20 15 10\n",
        "INSTRE-S2/07_boat/001.jpg": "6 4 12 8\n",
        "INSTRE-S2/07_boat/002.jpg": "1 1 7 5\n",
    }
    for seed, (name, text) in enumerate(boxes.items()):
        photo(folder / name, seed=seed)
        (folder / name).with_suffix(".txt").write_text(text)
    names = list(boxes)
    queries = [
        (names[0], [1, 2, 4], [6, 4, 36, 24]),
        (names[3], [4], [3, 2, 45, 30]),
        (names[2], [3, 4], [12, 8, 36, 24]),
        (names[4], [5, 6], [6, 4, 18, 12]),
    ]
    save_ground_truth(folder / "gnd_instre.mat", queries, names)
    return folder


def photo_entry(path: str, size: tuple[int, int], boxes: list[list[int]], classes: list[int]) -> dict[str, object]:
    overlaps = np.zeros((len(classes), 12), np.float32)
    return {
        "image": PREFIX + path,
        "width": float(size[0]),
        "height": float(size[1]),
        "flipped": False,
        "boxes": np.array(boxes, np.uint16),
        "gt_classes": np.array(classes, np.int32),
        "gt_overlaps": overlaps,
        "max_classes": overlaps.argmax(axis=1),
        "per_category_epoch_max": 0,
    }


TRAIN = "Data/CLS-LOC/train"
PHOTOS = {
    f"{TRAIN}/n01440764/n01440764_1.JPEG": ([[6, 4, 35, 23]], [3]),
    f"{TRAIN}/n01440764/n01440764_2.JPEG": ([[0, 0, 59, 39], [1, 2, 20, 30]], [3, 3]),
    f"{TRAIN}/n02096437/n02096437_5.JPEG": ([[10, 10, 30, 30], [5, 5, 15, 25]], [8, 1]),
    f"{TRAIN}/n02096437/n02096437_6.JPEG": ([[12, 8, 36, 24]], [8]),
}


def draw_repmet(root: Path, flipped_from: int | None = None) -> Path:
    """Two episodes in pickles of protocol 2; episode 1 has two examples of class 8 and none of class 9."""
    folder = root / "ImageNet-RepMet"
    for seed, path in enumerate(PHOTOS):
        photo(folder / "ILSVRC" / path, seed=seed)
    entries = [photo_entry(path, (60, 40), *found) for path, found in PHOTOS.items()]
    for number, entry in enumerate(entries):
        entry["flipped"] = flipped_from is not None and number >= flipped_from
    names = [PREFIX + path for path in PHOTOS]
    classes = [np.str_("tench"), np.str_("West Highland terrier")]
    roidb = {"roidb": entries, "classes": classes, "cls2img": [np.array([0, 1]), np.array([2, 3])]}
    episodes = [
        {
            "epi_cats": np.array([3, 8]),
            "epi_cats_names": classes,
            "query_images": [names[1], names[2]],
            "train_boxes": [
                [np.int64(3), 0, names[0], np.array([6, 4, 35, 23], np.uint16)],
                [np.int64(8), 0, names[3], np.array([[12, 8, 36, 24]], np.uint16)],
            ],
        },
        {
            "epi_cats": [8, 9],
            "query_images": [names[2]],
            "train_boxes": [
                [8, 0, names[3], np.array([12, 8, 36, 24], np.uint16)],
                [8, 1, names[2], np.array([10, 10, 30, 30], np.uint16)],
            ],
        },
    ]
    data = folder / "RepMet_CVPR2019_data/data/Imagenet_LOC"
    (data / "episodes").mkdir(parents=True)
    save_like_python_2(data / "voc_inloc_roidb.pkl", roidb)
    save_like_python_2(data / f"episodes/{EPISODES}.pkl", episodes)
    return folder


class _Python2Pickler(pickle._Pickler):
    """Protocol 2 with bytes and text as plain strings of Python 2, and the module names of its NumPy."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def __init__(self, file: object) -> None:
        super().__init__(file, protocol=2, fix_imports=True)

    def save_bytes(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + len(value).to_bytes(4, "little") + value)

    def save_str(self, value: str) -> None:
        self.save_bytes(value.encode("ascii"))

    def save_global(self, value: object, name: str | None = None) -> None:
        module = getattr(value, "__module__", "").replace("numpy._core", "numpy.core")
        if module.startswith("numpy"):
            called = name or value.__qualname__
            self.write(pickle.GLOBAL + f"{module}\n{called}\n".encode("ascii"))
            self.memoize(value)
        else:
            super().save_global(value, name)

    dispatch[bytes] = save_bytes
    dispatch[str] = save_str
    dispatch[type(np.zeros)] = save_global
    dispatch[type(np.ndarray)] = save_global


def save_like_python_2(path: Path, value: object) -> None:
    with path.open("wb") as file:
        _Python2Pickler(file).dump(value)


ANNOTATION = """<annotation>
<folder>{folder}</folder><filename>{name}</filename>
<size><width>60</width><height>40</height><depth>3</depth></size>{objects}
</annotation>
"""
OBJECT = """
<object><name>{wnid}</name><difficult>{difficult}</difficult>
<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"""


def save_annotation(path: Path, objects: list[tuple[str, int, tuple[int, int, int, int]]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(
        OBJECT.format(wnid=w, difficult=d, **dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)))
        for w, d, box in objects
    )
    path.write_text(ANNOTATION.format(folder=path.parent.name, name=path.stem, objects=text))


def draw_ilsvrc(root: Path) -> Path:
    """Three training photos, one of an excluded class, and four validation photos with five boxes."""
    folder = root / "ImageNet-RepMet"
    annotations, photos = folder / "ILSVRC/Annotations/CLS-LOC", folder / "ILSVRC/Data/CLS-LOC"
    train = {
        "n01440764/n01440764_9": [("n01440764", 0, (1, 1, 30, 20))],
        "n02000000/n02000000_1": [("n02000000", 0, (6, 4, 36, 24)), ("n01440764", 0, (1, 1, 5, 5))],
        "n03000000/n03000000_7": [("n03000000", 1, (0, 0, 60, 40)), ("n03000000", 0, (3, 4, 33, 24))],
    }
    val = {
        "ILSVRC2012_val_00000001": [("n02000000", 0, (6, 4, 36, 24)), ("n01440764", 0, (1, 1, 5, 5))],
        "ILSVRC2012_val_00000002": [("n03000000", 0, (0, 0, 60, 40))],
        "ILSVRC2012_val_00000003": [("n03000000", 0, (3, 4, 33, 24)), ("n02000000", 0, (9, 8, 39, 28))],
        "ILSVRC2012_val_00000004": [("n02000000", 0, (12, 12, 24, 24))],
    }
    for part, content in (("train", train), ("val", val)):
        for name, objects in content.items():
            save_annotation(annotations / part / f"{name}.xml", objects)
            photo(photos / part / f"{name}.JPEG")
    (folder / "repmet_test_classes.txt").write_text("n01440764\n")
    return folder
