import csv
import errno
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from os2d.data.dataset import build_dataset
from os2d.data.shelf import store
from os2d.data.shelf.parameters import ShelfParameters, shelf_fingerprint, shelf_folder
from os2d.data.shelf.store import draw_shelf, ensure_shelf, shelf_example
from os2d.errors import DataError
from tests.unit.folder_contents import files_below

TINY = ShelfParameters(train_classes=4, unseen_classes=3, distractors=2, train_images=3, val_images=2)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_shelf(tmp_path_factory.mktemp("root"), TINY)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "classes" / "shelf.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def draw_in_another_process(root: Path) -> None:
    ensure_shelf(root, TINY)


def test_drawing_twice_gives_the_same_bytes(drawn: Path, tmp_path: Path) -> None:
    draw_shelf(tmp_path, TINY)
    assert files_below(tmp_path) == files_below(drawn)


def test_splits_hold_the_asked_number_of_images(drawn: Path) -> None:
    images = {(row["split"], row["imageid"]) for row in rows_of(drawn)}
    assert {s: sum(split == s for split, _ in images) for s in ("train", "val-old-cl", "val-new-cl")} == {
        **{"train": 3, "val-old-cl": 2, "val-new-cl": 2},
    }


def test_unseen_classes_are_never_annotated_in_training(drawn: Path) -> None:
    classes = {s: {int(r["classid"]) for r in rows_of(drawn) if r["split"] == s} for s in ("train", "val-new-cl")}
    assert classes["train"] <= {0, 1, 2, 3}
    assert classes["val-new-cl"] <= {4, 5, 6}


def test_every_image_has_its_longer_side_at_the_nominal_size(drawn: Path) -> None:
    sizes = {Image.open(path).size for path in (drawn / "src" / "320").iterdir()}
    assert sizes <= {(320, 240), (240, 320)}


def test_boxes_show_what_the_class_image_shows(drawn: Path) -> None:
    rows = [row for row in rows_of(drawn) if row["difficult"] == "0"]
    at_the_box = np.mean([likeness(drawn, row, shift=0.0) for row in rows])
    beside_it = np.mean([likeness(drawn, row, shift=0.4) for row in rows])
    assert at_the_box > beside_it + 0.15


def likeness(folder: Path, row: dict[str, str], shift: float) -> float:
    """Correlation of a class image with the image at the box, moved to the left by a share of its width."""
    image = Image.open(folder / "src" / "320" / row["imagefilename"])
    template = Image.open(folder / "classes" / "images" / row["classfilename"])
    w, h = image.size
    left, top, right, bottom = (float(row[c]) * side for c, side in (("lx", w), ("ty", h), ("rx", w), ("by", h)))
    moved = shift * (right - left)
    crop = image.crop((round(left - moved), round(top), round(right - moved), round(bottom)))
    return float(np.corrcoef(pixels(crop), pixels(template))[0, 1])


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((24, 24)), dtype=float).ravel()


def test_other_parameters_lead_to_another_folder(tmp_path: Path) -> None:
    assert shelf_folder(tmp_path, TINY) != shelf_folder(tmp_path, ShelfParameters())
    assert shelf_fingerprint(TINY).startswith(shelf_folder(tmp_path, TINY).name.removeprefix("shelf-"))


def test_eight_processes_share_one_drawing(drawn: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=draw_in_another_process, args=(tmp_path,)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0] * 8
    assert files_below(shelf_folder(tmp_path, TINY)) == files_below(drawn)
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == [shelf_folder(tmp_path, TINY).name]


def test_an_interrupted_drawing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "draw_scene", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ensure_shelf(tmp_path, TINY)
    assert [p for p in tmp_path.iterdir() if p.is_dir()] == []


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_full_disk_is_reported_with_the_folder_and_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "draw_scene", fail)
    with pytest.raises(DataError, match=r"No space left on device; set runtime\.data_root .*ONESHOT_DATA"):
        ensure_shelf(tmp_path, TINY)


def test_a_data_root_that_is_no_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/shelf-.*: cannot write the generated data set"):
        ensure_shelf(tmp_path / "file", TINY)


def test_the_example_is_an_unseen_product(drawn: Path) -> None:
    example = shelf_example(drawn.parent, TINY)
    assert example.image.is_file()
    assert int(example.class_image.stem) in {4, 5, 6}


def test_a_shelf_is_drawn_when_a_data_set_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smallest = ShelfParameters(train_classes=1, unseen_classes=1, distractors=0, train_images=1, val_images=1)
    monkeypatch.setattr("os2d.data.catalog.ShelfParameters", lambda: smallest)
    dataset = build_dataset("shelf-val-new-cl", tmp_path)
    assert dataset.name == "shelf-val-new-cl"
    assert dataset.class_ids == [1]
    assert len(dataset) == 1
    assert all(len(dataset.boxes(i)) for i in dataset.image_ids)
