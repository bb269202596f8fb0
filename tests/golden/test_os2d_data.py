"""Data sets and training batches of OS2D against the golden set."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from golden_cases import Golden
from PIL import Image

from os2d.config import default_config
from os2d.data import augment
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.data.eval_loader import build_eval_loader, load_class_images
from os2d.data.train_loader import TrainBatch, TrainBatches
from os2d.modeling.box_coder import BoxCoder
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size


@dataclass
class MinedCrop:
    crop_position_xyxy: BoxList
    label_global: int
    role: str


def val_new_cl(golden: Golden, image_size: int) -> DatasetOneShotDetection:
    """The evaluation subset of the tiny data set with the nominal image size of the golden files."""
    named = build_dataset("grozi-val-new-cl", golden.path("os2d/tiny_dataset"))
    return DatasetOneShotDetection(
        named.gtboxframe,
        named.class_images_folder,
        named.images_folder,
        named.name,
        image_size,
        image_ids=named.image_ids,
        image_file_names=named.image_file_names,
    )


@pytest.mark.reads("os2d/dataset_subsets.json", "os2d/tiny_dataset")
def test_named_subsets_hold_the_expected_images_and_boxes(golden: Golden) -> None:
    root = golden.path("os2d/tiny_dataset")
    for name, expected in golden.json("os2d/dataset_subsets.json").items():
        dataset = build_dataset(name, root)
        assert dataset.image_ids == expected["image_ids"]
        assert [dataset.image_path(i).name for i in dataset.image_ids] == expected["image_file_names"]
        assert dataset.class_ids == expected["class_ids"]
        assert len(dataset.gtboxframe) == expected["num_boxes"]
        assert dataset.gtboxframe["gtbboxid"].tolist() == expected["gtbboxids"]


@pytest.mark.reads("os2d/evaluate_plain.npz", "os2d/tiny_dataset")
def test_evaluation_images_have_the_expected_pixels(golden: Golden) -> None:
    case = golden("os2d/evaluate_plain.npz")
    dataset = val_new_cl(golden, case.meta["image_size"])
    config = default_config()
    config.is_cuda = False
    config.runtime.num_workers = 0
    config.eval.scales_of_image_pyramid = case.meta["config"]["eval.scales_of_image_pyramid"]

    batches = list(build_eval_loader(dataset, config, case.meta["eval_scale"]))

    assert [i for b in batches for i in b.image_ids] == case["image_ids"].tolist()
    for batch in batches:
        debug = f"debug/image{batch.image_ids[0]}"
        assert (batch.loaded_size.h, batch.loaded_size.w) == tuple(case[f"{debug}/loaded_hw"])
        assert [list(level.shape[-2:]) for level in batch.levels] == case[f"{debug}/level_hw"].tolist()
        np.testing.assert_allclose([x.mean() for x in batch.levels], case[f"{debug}/level_mean"], atol=1e-5)
        np.testing.assert_allclose([x.std() for x in batch.levels], case[f"{debug}/level_std"], atol=1e-5)


@pytest.mark.reads("os2d/evaluate_plain.npz", "os2d/tiny_dataset")
def test_class_images_of_evaluation_have_the_expected_pixels(golden: Golden) -> None:
    case = golden("os2d/evaluate_plain.npz")

    class_images = load_class_images(val_new_cl(golden, case.meta["image_size"]), default_config())

    tensors = [views[0] for _, views in class_images]
    assert [class_id for class_id, _ in class_images] == case["debug/class_ids"].tolist()
    assert [list(t.shape[-2:]) for t in tensors] == case["debug/class_image_hw"].tolist()
    np.testing.assert_allclose([t.mean() for t in tensors], case["debug/class_image_mean"], atol=1e-5)
    np.testing.assert_allclose([t.std() for t in tensors], case["debug/class_image_std"], atol=1e-5)


@pytest.mark.reads("os2d/batch_from_mined_crops.npz", "os2d/evaluate_plain.npz", "os2d/tiny_dataset")
def test_batch_from_mined_crops(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    case = golden("os2d/batch_from_mined_crops.npz")
    monkeypatch.setattr(augment, "FILTERS", (Image.Resampling.BILINEAR,))
    monkeypatch.setattr(TrainBatches, "image_ids_of", lambda self, iteration: case.meta["image_ids"])
    config = default_config()
    config.merge_from_list([v for pair in case.meta["config"].items() for v in pair])
    dataset = val_new_cl(golden, golden("os2d/evaluate_plain.npz").meta["image_size"])
    label = case.meta["mined_label_global"]
    mined = {
        int(i): [MinedCrop(BoxList(torch.tensor([c["crop_xyxy"]]), Size(*c["frame_wh"])), label, "neg")]
        for i, c in case.meta["crops"].items()
    }

    batch = TrainBatches(dataset, config, BoxCoder(240, 16), seed=0, hard_patches=mined)[0]

    assert (batch.images.shape[-1], batch.images.shape[-2]) == tuple(case.meta["patch_wh"])
    np.testing.assert_allclose(batch.images[..., ::4, ::4], case["images_every_4th_pixel"], atol=1e-3)
    np.testing.assert_allclose(batch.images.mean(dim=(1, 2, 3)), case["image_mean"], atol=1e-3)
    np.testing.assert_allclose(batch.images.std(dim=(1, 2, 3)), case["image_std"], atol=1e-3)
    assert batch.class_ids.tolist() == case["class_ids"].tolist()
    assert [list(t.shape[-2:]) for t in batch.class_images] == case["class_image_hw"].tolist()
    np.testing.assert_allclose([t.mean() for t in batch.class_images], case["class_image_mean"], atol=1e-3)
    np.testing.assert_array_equal(batch.cls_targets, case["cls_targets"])
    np.testing.assert_allclose(batch.loc_targets, case["loc_targets"], atol=1e-3)
    assert_boxes_match(batch, case)


def assert_boxes_match(batch: TrainBatch, case: dict[str, np.ndarray]) -> None:
    assert [len(b) for b in batch.boxes] == case["boxes_per_image"].tolist()
    boxes = torch.cat([b.boxes_xyxy for b in batch.boxes])
    mapped_back = torch.cat([t.apply(b.boxes_xyxy) for t, b in zip(batch.to_original, batch.boxes, strict=True)])
    np.testing.assert_allclose(boxes, case["boxes"], atol=0.01)
    np.testing.assert_allclose(mapped_back, case["boxes_mapped_back"], atol=0.01)
    np.testing.assert_array_equal(torch.cat([b.field("labels") for b in batch.boxes]), case["labels"])
    np.testing.assert_array_equal(torch.cat([b.field("difficult") for b in batch.boxes]), case["difficult"])
