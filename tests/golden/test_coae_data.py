import json
from pathlib import Path

import numpy as np
import pytest
import torch
from coae_inputs import dataset_in
from golden_cases import Case, Golden
from PIL import Image

from baselines.coae.data.batch_order import BatchOrder, needs_crop
from baselines.coae.data.pixels import query_image, query_square, scaled_image
from baselines.coae.data.records import ImageRecord, Records, class_probabilities
from baselines.coae.data.train_samples import Sample, SampleDraws, crop_to_ratio, make_sample
from os2d.data.dataset import DatasetOneShotDetection
from os2d.data.normalisation import IMAGENET_MEAN, IMAGENET_STD

QUERY_SIZE, MAX_BOXES = 32, 20


@pytest.mark.reads("baselines/coae_preprocess.npz")
def test_images_and_queries(golden: Golden) -> None:
    case = golden("baselines/coae_preprocess.npz")
    size, target = int(case["query_size"]), int(case["target_size"])
    for k in range(sum(name.startswith("image_blob_") for name in case)):
        image = Image.fromarray(case[f"image_{k}"])
        factor = target / min(image.size)
        assert factor == pytest.approx(float(case[f"f64_scale_{k}"]))
        blob = scaled_image(image, factor).permute(1, 2, 0).numpy()
        np.testing.assert_allclose(blob, case[f"image_blob_{k}"], atol=1e-4)
        square = query_square(case[f"image_{k}"], size)
        assert np.abs(square.astype(int) - case[f"query_crop_{k}"].astype(int)).max() <= 1
        levels = 1 / 255 / min(IMAGENET_STD) + 1e-4
        query = query_image(image, size).permute(1, 2, 0).numpy()
        np.testing.assert_allclose(query, case[f"query_blob_{k}"], atol=levels)
    x1, y1, x2, y2 = case["box"].tolist()
    square = query_square(case["box_image"][y1:y2, x1:x2], size)
    assert np.abs(square.astype(int) - case["box_crop"].astype(int)).max() <= 1


def flat_dataset(case: Case, folder: Path) -> DatasetOneShotDetection:
    """Return the data set of the case: images of one colour, one grey level per class image."""
    rows = case["f64_annotations"]
    for image_id, (height, width) in enumerate(case["image_hw"].tolist()):
        Image.new("RGB", (width, height), (255, 255, 255)).save(folder / f"{image_id}.png")
    numbers = [int(name) for name in json.loads(str(case["class_order"]))[1:]]
    for level, class_id in enumerate(numbers, start=1):
        Image.new("RGB", (30, 30), (level,) * 3).save(folder / f"class{class_id}.png")
    return dataset_in(folder, rows)


def boxes_as_a_set(sample: Sample) -> list[list[float]]:
    rows = torch.cat([sample.boxes_G4, sample.is_query_G[:, None]], dim=1)
    return sorted(np.round(row, 3).tolist() for row in rows.numpy() if row.any())


def crop_shares(record: ImageRecord, scale: int, ratio: float, expected: list[list[float]]) -> list[float]:
    """Return a share that leads to the crop in which the expected boxes are."""
    if not needs_crop(record.size):
        return [0.0]
    factor = scale / min(record.size)
    image = torch.zeros(1, 1, 1).expand(3, round(record.size.h * factor), round(record.size.w * factor))
    boxes = record.boxes_N4.astype(np.float32) * np.float32(factor)
    for share in np.linspace(0, 0.999, 500).tolist():
        cropped = crop_to_ratio(image, boxes, ratio, share)[1]
        if all(np.isclose(cropped, row[:4], atol=2e-3).all(axis=1).any() for row in expected):
            return [share]
    raise AssertionError(f"image {record.image_id}: no crop shows {expected}")


def reproduced(
    records: Records, record: ImageRecord, scale: int, ratio: float, expected: list[list[float]]
) -> tuple[Sample, int]:
    """Return the sample with the expected boxes, and its query's class: class and crop are draws of the original."""
    order = np.arange(len(record.classes_N))
    for share in crop_shares(record, scale, ratio, expected):
        for query_class in np.unique(record.classes_N).tolist():
            draws = SampleDraws(scale, query_class, order, share, False)
            sample = make_sample(records, record, draws, ratio, QUERY_SIZE, MAX_BOXES)
            found = boxes_as_a_set(sample)
            if len(found) == len(expected) and np.allclose(found, expected, atol=2e-3):
                return sample, query_class
    raise AssertionError(f"image {record.image_id}: no choice leads to {expected}")


@pytest.mark.reads("baselines/coae_train_samples.npz")
def test_training_samples(golden: Golden, tmp_path: Path) -> None:
    case = golden("baselines/coae_train_samples.npz")
    records = Records(flat_dataset(case, tmp_path))
    images = records.training_images(with_mirrored=False)
    assert ["__background__", *map(str, records.class_ids)] == json.loads(str(case["class_order"]))
    for k, record in enumerate(images):
        np.testing.assert_array_equal(record.boxes_N4, case[f"boxes_{k}"])
        np.testing.assert_array_equal(record.classes_N, case[f"classes_{k}"])
    np.testing.assert_allclose(class_probabilities(images, len(records.class_ids)), case["f64_class_probability"])
    assert [needs_crop(record.size) for record in images] == case["need_crop"].astype(bool).tolist()
    order = BatchOrder([record.size for record in images], int(case["batch_size"]))
    members = [member for group in order.groups for member in group.members]
    clipped = [np.clip(images[m].size.w / images[m].size.h, 0.5, 2) for m in members]
    np.testing.assert_allclose(clipped, case["f64_sorted_ratios"])  # images of equal ratio come in any order
    ratios = [group.ratio for group in order.groups for _ in group.members]
    np.testing.assert_allclose(ratios, case["batch_ratio"], rtol=1e-6)

    level_of_class: dict[int, int] = {}
    for k, (image, ratio) in enumerate(zip(case["sorted_image_index"].tolist(), ratios, strict=True)):
        record = images[image]
        expected = sorted(np.round(row, 3).tolist() for row in case[f"sample{k}_gt"] if row.any())
        sample, query_class = reproduced(records, record, int(case["scale"]), ratio, expected)
        assert list(sample.image_3hw.shape) == case[f"sample{k}_shape"].tolist()
        np.testing.assert_allclose([*sample.image_3hw.shape[1:], sample.factor], case[f"sample{k}_im_info"], rtol=1e-6)
        assert len(boxes_as_a_set(sample)) == case[f"sample{k}_num_boxes"]
        white = (1 - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
        content = torch.isclose(sample.image_3hw, white[:, None, None], atol=1e-4).all(0)
        extent = [int(content.any(dim=1).sum()), int(content.any(dim=0).sum())]
        assert extent == case[f"sample{k}_content_hw"].tolist()
        level = (sample.query_3ss[0] * IMAGENET_STD[0] + IMAGENET_MEAN[0]) * 255
        assert level.round().unique().tolist() == [query_class]
        file = int(case[f"sample{k}_query_level"])
        assert level_of_class.setdefault(query_class, file) == file
    assert len(set(level_of_class.values())) == len(level_of_class)
