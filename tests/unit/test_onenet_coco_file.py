"""Annotation files in COCO's format: what is read, and what is said of broken ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from baselines.onenet.config import default_config
from baselines.onenet.data.catalog import DatasetSource, find_source
from baselines.onenet.data.coco_file import read_coco
from baselines.onenet.data.fingerprint import dataset_fingerprint
from baselines.onenet.data.loaders import read_for
from os2d.errors import ConfigError, DataError
from tests.unit.onenet_dataset import annotation, config_for, write_annotations, write_coco

IMAGES = {9: (40, 30), 4: (30, 40), 5: (20, 20)}
CATEGORIES = {7: "cat", 3: "dog"}
ANNOTATIONS = [
    annotation(100, 9, 7, [1, 2, 10, 11.5]),
    annotation(200, 4, 3, [0, 0, 5, 5], iscrowd=1, area=12.5),
    annotation(300, 9, 3, [-2, -2, 50, 8]),
]


@pytest.fixture
def source(tmp_path: Path) -> DatasetSource:
    return write_coco(tmp_path, IMAGES, ANNOTATIONS, CATEGORIES)


def broken(source: DatasetSource, change: Callable[[dict[str, Any]], object]) -> str:
    """Return what is said of a file after a change."""
    content = json.loads(source.annotations.read_text(encoding="utf-8"))
    change(content)
    source.annotations.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError) as raised:
        dataset = read_coco(source)
        dataset.check_has_objects()
        dataset.check_images_exist()
    return str(raised.value)


def test_images_and_classes_come_by_ascending_id(source: DatasetSource) -> None:
    dataset = read_coco(source)
    assert dataset.image_ids == [4, 5, 9]
    assert (dataset.category_ids, dataset.class_names) == ([3, 7], ["dog", "cat"])
    assert [dataset.annotation_ids_N[dataset.annotations_of(k)].tolist() for k in range(3)] == [[200], [], [100, 300]]
    assert dataset.classes_N.tolist() == [0, 1, 0]
    assert dataset.boxes_xywh_N4[1].tolist() == [1, 2, 10, 11.5]
    assert dataset.areas_N.tolist() == [12.5, 115, 400]
    assert dataset.with_objects().tolist() == [False, False, True]


def test_missing_image(source: DatasetSource) -> None:
    (source.images / "9.png").unlink()
    said = broken(source, lambda content: None)
    assert "9.png: no such image file" in said
    assert "image 9, of annotations 100, 300" in said


def test_missing_folder(source: DatasetSource) -> None:
    said = broken(DatasetSource("tiny", source.annotations, source.images / "elsewhere"), lambda content: None)
    assert "elsewhere: no such folder" in said


def entry(number: int, **values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["annotations"][number].update(values)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (entry(1, category_id=8), "annotation 200: category_id 8 is not among the ids of 'categories'"),
        (entry(2, image_id=1), "annotation 300: image_id 1 is not among the ids of 'images'"),
        (entry(0, bbox=[1, 2, -3, 4]), "annotation 100: bbox [1, 2, -3, 4]: width and height must not be negative"),
        (entry(0, bbox=[1, 2, 3]), "annotation 100: bbox: expected four numbers"),
        (entry(2, bbox=[1, 2, float("nan"), 3]), "annotation 300: bbox: expected finite numbers"),
        (entry(0, bbox=[1, 2, "3", 4]), "annotation 100: bbox: expected four numbers"),
        (entry(0, iscrowd="no"), "annotation 100: iscrowd: expected 0 or 1, got 'no'"),
        (entry(0, ignore=1), "annotation 100: 'ignore' is not a key of COCO"),
        (entry(0, area=-1), "annotation 100: area: expected"),
        (entry(1, id=100), "annotation 100: the id occurs 2 times"),
        (lambda content: content["annotations"][1].pop("id"), "annotation at position 1 of the list: has no 'id'"),
        (lambda content: content["annotations"][0].pop("bbox"), "annotation 100: has no 'bbox'"),
        (lambda content: content["images"][0].pop("height"), "image 9: has no 'height'"),
        (
            lambda content: content["images"][0].update(width=0),
            "image 9: width: expected a positive whole number, got 0",
        ),
        (lambda content: content["images"].append(7), "expected an object, got 7"),
        (lambda content: content.pop("categories"), "no 'categories'"),
        (lambda content: content["categories"].clear(), "'categories' is empty"),
        (lambda content: content["annotations"].clear(), "has 3 images and no annotation"),
        (
            lambda content: [a.update(iscrowd=1) for a in content["annotations"]],
            "every annotation (200, 100, 300) marks a crowd",
        ),
    ],
)
def test_a_broken_file_is_refused_by_name(
    source: DatasetSource, change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    said = broken(source, change)
    assert expected in said
    assert str(source.annotations) in said


def test_a_truncated_file_is_told_from_a_missing_one(source: DatasetSource) -> None:
    text = source.annotations.read_text(encoding="utf-8")
    source.annotations.write_text(text[:-10], encoding="utf-8")
    with pytest.raises(DataError, match="is not JSON"):
        read_coco(source)
    source.annotations.unlink()
    with pytest.raises(DataError, match="no such annotation file"):
        read_coco(source)


def test_names_and_paths_of_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = default_config()
    monkeypatch.setenv("DETECTRON2_DATASETS", "/sets")
    assert find_source("coco_2017_val", config).images == Path("/sets/coco/val2017")
    config.DATASETS.ROOT = str(tmp_path)
    config.DATASETS.REGISTERED = [["blood", "blood/images", "blood/boxes.json"]]
    assert find_source("CrowdHuman_val", config).annotations == tmp_path / "crowdhuman/annotations/val.json"
    assert find_source("blood", config).annotations == tmp_path / "blood/boxes.json"
    assert find_source("/x/annotations/instances_val.json", config).images == Path("/x/val")
    assert find_source("/x/boxes.json", config).images == Path("/x")
    assert find_source("/x/boxes.json:/photos", config).images == Path("/photos")
    assert find_source("/x/boxes.json:/photos", config).label == "boxes"
    with pytest.raises(ConfigError, match=r"unknown data set 'bleed': expected one of coco_2017_train.*blood"):
        find_source("bleed", config)
    config.DATASETS.REGISTERED = [["coco_2017_val", "a", "b"]]
    with pytest.raises(ConfigError, match="'coco_2017_val' is taken"):
        find_source("blood", config)


def test_the_network_must_have_the_classes_of_the_data(source: DatasetSource) -> None:
    assert len(read_for(config_for(source, classes=2), "tiny")) == 3
    with pytest.raises(ConfigError, match=r"MODEL.OneNet.NUM_CLASSES: expected 2, the classes of tiny, got 80"):
        read_for(config_for(source, classes=80), "tiny")


def test_other_boxes_or_pixels_are_another_data_set(source: DatasetSource, tmp_path: Path) -> None:
    moved = write_coco(tmp_path / "copy", IMAGES, ANNOTATIONS, CATEGORIES)
    assert dataset_fingerprint(moved) == dataset_fingerprint(source)

    other_pixels = write_coco(tmp_path / "pixels", {**IMAGES, 4: (31, 40)}, ANNOTATIONS, CATEGORIES)
    write_annotations(other_pixels.annotations, IMAGES, ANNOTATIONS, CATEGORIES)
    assert dataset_fingerprint(other_pixels) != dataset_fingerprint(source)

    other_boxes = write_coco(tmp_path / "boxes", IMAGES, ANNOTATIONS[:2], CATEGORIES)
    assert dataset_fingerprint(other_boxes) != dataset_fingerprint(source)
