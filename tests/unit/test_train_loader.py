from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image
from yacs.config import CfgNode

from os2d.config import default_config
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.data.normalisation import to_tensor
from os2d.data.train_loader import TrainBatch, TrainBatches, build_train_loader
from os2d.errors import DataError
from os2d.modeling.assignment import IGNORED, NEGATIVE, POSITIVE
from os2d.modeling.box_coder import BoxCoder
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

TINY = Path(__file__).parents[1] / "data" / "golden" / "os2d" / "tiny_dataset"
CODER = BoxCoder(56, 8)


@pytest.fixture
def dataset() -> DatasetOneShotDetection:
    named = build_dataset("grozi-train", TINY)
    folders = (named.class_images_folder, named.images_folder)
    return DatasetOneShotDetection(named.gtboxframe, *folders, named.name, 320, cache_images=True)


@pytest.fixture
def config() -> CfgNode:
    config = default_config()
    config.is_cuda = False
    config.model.class_image_size = 48
    config.train.batch_size = 2
    config.train.dataset_scale = 200.0
    config.train.augment.train_patch_width = 96
    config.train.augment.train_patch_height = 80
    return config


def load(dataset: DatasetOneShotDetection, config: CfgNode, start: int = 0, stop: int = 5) -> list[TrainBatch]:
    return list(build_train_loader(dataset, config, CODER, seed=7, start=start, stop=stop))


def assert_same(first: TrainBatch, second: TrainBatch) -> None:
    assert first.image_ids == second.image_ids
    assert first.to_original == second.to_original
    for name in ("images", "loc_targets", "cls_targets", "class_ids"):
        torch.testing.assert_close(getattr(first, name), getattr(second, name), atol=0, rtol=0)
    for one, other in zip(first.class_images, second.class_images, strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_shapes_agree(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    batch = TrainBatches(dataset, config, CODER, seed=0)[0]
    b, num_classes = len(batch.image_ids), len(batch.class_ids)
    assert batch.images.shape == (b, 3, 80, 96)
    assert batch.fm_size == Size(12, 10)
    assert batch.loc_targets.shape == (b, num_classes, 4, 120)
    assert batch.cls_targets.shape == (b, num_classes, 120)
    assert len(batch.class_images) == num_classes
    assert all(abs(t.shape[1] * t.shape[2] - 48**2) < 200 for t in batch.class_images)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_a_batch(dataset: DatasetOneShotDetection, config: CfgNode, workers: int) -> None:
    config.runtime.num_workers = 0
    alone = load(dataset, config)
    config.runtime.num_workers = workers
    for one, other in zip(alone, load(dataset, config), strict=True):
        assert_same(one, other)


def test_resuming_gives_the_batches_that_would_have_come(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    config.runtime.num_workers = 0
    torch.manual_seed(1)
    whole = load(dataset, config)
    torch.manual_seed(2)
    for one, other in zip(whole[3:], load(dataset, config, start=3), strict=True):
        assert_same(one, other)


def test_loading_leaves_the_global_generator_alone(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    before = torch.random.get_rng_state()
    load(dataset, config, stop=1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_epoch_shows_every_image_once_and_epochs_differ(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    batches = TrainBatches(dataset, config, CODER, seed=3)
    epochs = [[batches.image_ids_of(2 * e), batches.image_ids_of(2 * e + 1)] for e in range(8)]
    assert batches.batches_per_epoch == 2
    assert all(sorted(first + last) == [601, 602, 603] for first, last in epochs)
    assert len({str(epoch) for epoch in epochs}) > 3


def test_other_seeds_give_other_batches(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    first, second = (TrainBatches(dataset, config, CODER, seed=s)[0] for s in (0, 1))
    assert first.to_original != second.to_original


def test_boxes_map_back_to_where_they_were_annotated(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    config.train.augment.random_flip_batches = True
    batches = TrainBatches(dataset, config, CODER, seed=0)
    for batch in map(batches.__getitem__, range(6)):
        for image_id, boxes, back in zip(batch.image_ids, batch.boxes, batch.to_original, strict=True):
            torch.testing.assert_close(
                back.apply(boxes.boxes_xyxy), dataset.boxes(image_id).boxes_xyxy, atol=1e-3, rtol=1e-4
            )


def test_labels_are_positions_in_the_classes_of_the_batch(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    config.train.class_batch_size = 1
    batches = TrainBatches(dataset, config, CODER, seed=0)
    labelled = 0
    for batch in map(batches.__getitem__, range(6)):
        assert len(batch.class_ids) == 1
        for image_id, boxes in zip(batch.image_ids, batch.boxes, strict=True):
            named = dataset.boxes(image_id).field("labels")
            kept = boxes.field("labels") == 0
            assert (named[kept] == batch.class_ids[0]).all()
            labelled += int(kept.sum())
    assert labelled >= 6


def test_every_augmentation_may_be_on(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    for key in (
        "random_flip_batches",
        "random_color_distortion",
        "random_crop_class_images",
        "mine_extra_class_images",
    ):
        config.train.augment[key] = True
    batches = TrainBatches(dataset, config, CODER, seed=0)
    targets = set()
    for batch in map(batches.__getitem__, range(6)):
        assert batch.images.isfinite().all()
        targets |= set(batch.cls_targets.unique().tolist())
    assert targets == {POSITIVE, NEGATIVE, IGNORED}


def test_extra_class_images_are_crops_of_training_objects(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    config.train.augment.mine_extra_class_images = True
    batches = TrainBatches(dataset, config, CODER, seed=0)
    seen = {batches._choose_class_image(42, torch.Generator().manual_seed(s)).size for s in range(30)}
    box = dataset.boxes(603).boxes_xyxy[0].round().int().tolist()
    assert seen == {dataset.class_image(42).size, (box[2] - box[0], box[3] - box[1])}


@dataclass
class Patch:
    crop_position_xyxy: BoxList
    label_global: int
    role: str


def patch_of(dataset: DatasetOneShotDetection, image_id: int, role: str) -> Patch:
    size = dataset.size_of_image(image_id)
    left = 0.0 if role == "neg" else 32.0
    return Patch(BoxList(torch.tensor([[left, 0.0, left + 96, 80.0]]), size), 11, role)


def test_the_first_half_of_a_batch_trains_on_mined_negatives(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    mined = {i: [patch_of(dataset, i, role) for role in ("neg", "pos", "pos_loc")] for i in dataset.image_ids}
    config.train.batch_size = 3
    batch = TrainBatches(dataset, config, CODER, seed=0, hard_patches=mined)[0]
    assert [back.shift_x for back in batch.to_original] == [0.0, 32.0, 32.0]
    assert 11 in batch.class_ids


def test_an_image_without_the_wanted_role_uses_any_patch(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    mined = {i: [patch_of(dataset, i, "neg")] for i in dataset.image_ids}
    batch = TrainBatches(dataset, config, CODER, seed=0, hard_patches=mined)[0]
    assert {back.shift_x for back in batch.to_original} == {0.0}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_one_clear_error(tmp_path: Path, config: CfgNode, workers: int) -> None:
    named = build_dataset("grozi-train", TINY)
    for path in named.images_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[:2000])
    broken = DatasetOneShotDetection(named.gtboxframe, named.class_images_folder, tmp_path, named.name, 320)
    config.runtime.num_workers = workers
    with pytest.raises(DataError) as error:
        load(broken, config)
    assert "Traceback" not in str(error.value)
    assert "the file is damaged or incomplete" in str(error.value)


def test_a_data_set_without_boxes_is_refused(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    folders = (dataset.class_images_folder, dataset.images_folder)
    images = {"image_ids": [601], "image_file_names": ["601.png"]}
    empty = DatasetOneShotDetection(dataset.gtboxframe[:0], *folders, "empty", 320, **images)
    with pytest.raises(DataError, match="'empty' has no boxes to train on"):
        TrainBatches(empty, config, CODER, seed=0)


def test_images_without_boxes_are_negatives(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    folders = (dataset.class_images_folder, dataset.images_folder)
    frame = dataset.gtboxframe[dataset.gtboxframe["imageid"] == 601]
    images = {"image_ids": [601, 602], "image_file_names": ["601.png", "602.png"]}
    config.train.batch_size = 1
    batches = TrainBatches(DatasetOneShotDetection(frame, *folders, "partly", 320, **images), config, CODER, seed=0)
    without = next(b for b in map(batches.__getitem__, range(4)) if b.image_ids == [602])
    assert without.cls_targets.unique().tolist() == [0]


def test_pixels_are_normalised() -> None:
    tensor = to_tensor(Image.new("RGB", (2, 2), (255, 0, 51)), [0.5, 0.25, 0.2], [0.5, 0.25, 0.1])
    torch.testing.assert_close(tensor[:, 0, 0], torch.tensor([1.0, -1.0, 0.0]))
