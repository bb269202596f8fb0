"""Images and boxes as OneNet is trained on them, against the golden set."""

import json
from pathlib import Path

import numpy as np
import pytest
from golden_cases import Case, Golden
from PIL import Image

from baselines.onenet.data.augment import Crop, Mirror, Resize, Step
from baselines.onenet.data.catalog import DatasetSource
from baselines.onenet.data.coco_file import read_coco
from baselines.onenet.data.resize import shortest_edge_size
from baselines.onenet.data.sample import changed_sample
from os2d.structures.sizes import Size


@pytest.mark.reads("onenet/resize_shortest_edge.npz")
def test_sizes(golden: Golden) -> None:
    case = golden("onenet/resize_shortest_edge.npz")
    for (shorter, longest), expected in zip(case.meta["pairs"], case["out_hw"].tolist(), strict=True):
        resized = [shortest_edge_size(Size(w, h), shorter, longest) for h, w in case["hw"].tolist()]
        assert [[size.h, size.w] for size in resized] == expected


@pytest.mark.reads("onenet/dataset_mapper.npz")
def test_training_samples(golden: Golden, tmp_path: Path) -> None:
    case = golden("onenet/dataset_mapper.npz")
    every = tuple(slice(None, None, step) for step in (1, 16, 16))
    assert case.meta["slices"]["out_image"] == "[:, ::16, ::16]"
    for number, item in enumerate(case.meta["items"]):
        source = write_item(tmp_path / str(number), case, number)

        sample = changed_sample(read_coco(source), 0, [step for t in item["transforms"] for step in steps_of(*t)])

        assert list(sample.image.shape[1:]) == item["out_hw"] == item["image_size"]
        assert str(sample.image.dtype) == item["dtype"]
        expected = case[f"out_image{number}"].astype(int)
        np.testing.assert_allclose(sample.image[every].numpy().astype(int), expected, atol=1)
        np.testing.assert_allclose(sample.targets.boxes_N4, case[f"out_boxes{number}"], atol=1e-3)
        labels = read_coco(source).category_ids
        found = [labels[k] for k in sample.targets.classes_N.tolist()]
        np.testing.assert_array_equal(found, case[f"out_labels{number}"])


def write_item(folder: Path, case: Case, number: int) -> DatasetSource:
    """Write one recorded image with its annotations as a data set."""
    folder.mkdir()
    pixels = case[f"image{number}"]
    Image.fromarray(pixels).save(folder / "image.png")
    crowd = case.meta["items"][number]["iscrowd_index"]
    annotations = [
        {"id": k, "image_id": 7, "category_id": label, "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": int(k == crowd)}
        for k, ((x1, y1, x2, y2), label) in enumerate(
            zip(case[f"xyxy{number}"].tolist(), case[f"labels{number}"].tolist(), strict=True)
        )
    ]
    content = {
        "images": [{"id": 7, "file_name": "image.png", "width": pixels.shape[1], "height": pixels.shape[0]}],
        "annotations": annotations,
        "categories": [{"id": label, "name": str(label)} for label in sorted(set(case[f"labels{number}"].tolist()))],
    }
    path = folder / "annotations.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return DatasetSource("recorded", path, folder)


def steps_of(kind: str, *numbers: int) -> list[Step]:
    match kind:
        case "noop":
            return []
        case "hflip":
            return [Mirror()]
        case "resize":
            return [Resize(Size(w=numbers[3], h=numbers[2]))]
        case "crop":
            left, top, width, height = numbers
            return [Crop(left, top, Size(width, height))]
    raise AssertionError(f"unknown step {kind}")
