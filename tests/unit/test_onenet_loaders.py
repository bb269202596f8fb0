"""Training and test images of OneNet: which ones, in which order, and what happens to them."""

from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from yacs.config import CfgNode

from baselines.onenet.data.augment import Crop, Mirror, Resize, Step, draw_steps, transform_boxes
from baselines.onenet.data.catalog import DatasetSource
from baselines.onenet.data.coco_file import read_coco
from baselines.onenet.data.loaders import build_test_loader, build_train_loader
from baselines.onenet.data.order import TrainingOrder
from baselines.onenet.data.sample import Sample, upright_image
from os2d.errors import DataError
from os2d.structures.sizes import Size
from tests.unit.onenet_dataset import annotation, config_for, write_coco

WIDE, HIGH = (48, 32), (32, 48)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DatasetSource:
    images = {id: WIDE if id % 3 else HIGH for id in range(1, 8)}
    annotations = [annotation(10 * id, id, 1 + id % 2, [4, 6, 20, 16]) for id in images if id != 5]
    return write_coco(tmp_path_factory.mktemp("tiny"), images, annotations, {1: "cat", 2: "dog"})


@pytest.fixture
def config(source: DatasetSource) -> CfgNode:
    config = config_for(source, classes=2)
    config.INPUT.MIN_SIZE_TRAIN, config.INPUT.MAX_SIZE_TRAIN = (24, 32, 40), 60
    config.INPUT.CROP.ENABLED, config.INPUT.CROP.SIZE = True, [384, 600]
    config.SOLVER.IMS_PER_BATCH, config.SOLVER.MAX_ITER = 2, 8
    return config


def assert_same(left: list[list[Sample]], right: list[list[Sample]]) -> None:
    assert [[s.image_id for s in batch] for batch in left] == [[s.image_id for s in batch] for batch in right]
    for a, b in zip(chain(*left), chain(*right), strict=True):
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.targets.boxes_N4, b.targets.boxes_N4)
        assert torch.equal(a.targets.classes_N, b.targets.classes_N)


def test_a_resumed_training_sees_the_batches_it_would_have_seen(config: CfgNode) -> None:
    whole = list(build_train_loader(config, 0, 1))
    assert len(whole) == 8
    assert_same(list(build_train_loader(config, 0, 1, start_iteration=5)), whole[5:])
    config.DATALOADER.NUM_WORKERS = 2
    assert_same(list(islice(build_train_loader(config, 0, 1, start_iteration=4), 2)), whole[4:6])
    config.SEED += 1
    other = list(build_train_loader(config, 0, 1))
    assert [s.image_id for batch in other for s in batch] != [s.image_id for batch in whole for s in batch]


def test_a_sample_is_an_image_with_its_objects(config: CfgNode) -> None:
    with_objects = 0
    for batch in build_train_loader(config):
        for sample in batch:
            with_objects += len(sample.targets)
            _, height, width = sample.image.shape
            assert sample.image.dtype == torch.uint8
            assert min(height, width) in (24, 32, 40) or max(height, width) == 60
            assert (sample.width, sample.height) == (WIDE if sample.image_id % 3 else HIGH)
            assert sample.targets.boxes_N4.dtype == torch.float32
            assert (sample.targets.boxes_N4[:, 2:] <= torch.tensor([width, height])).all()
            assert len(sample.targets) <= (sample.image_id != 5)
            assert all(k == sample.image_id % 2 for k in sample.targets.classes_N.tolist())
    assert with_objects > 4


def test_images_without_objects_are_left_out_on_demand(config: CfgNode) -> None:
    def seen() -> set[int]:
        return {sample.image_id for batch in build_train_loader(config) for sample in batch}

    assert seen() == set(range(1, 8))
    config.DATALOADER.FILTER_EMPTY_ANNOTATIONS = True
    assert seen() == {1, 2, 3, 4, 6, 7}


def test_processes_share_each_pass_and_keep_wide_images_apart() -> None:
    is_wide = np.arange(1001) % 4 > 0
    alone = TrainingOrder(is_wide, 8, seed=3, rank=0, world_size=1, grouped=True)
    shared = [TrainingOrder(is_wide, 4, seed=3, rank=rank, world_size=2, grouped=True) for rank in range(2)]
    one_pass = 2 * 1001 // 8

    draws = {draw for order in shared for number in range(one_pass) for draw in order[number]}
    line = {place: image for number in range(one_pass * 2) for place, image in alone[number]}

    known = [draw for draw in draws if draw.place in line]
    assert len(known) > 1900
    assert all(line[draw.place] == draw.image for draw in known)
    assert {draw.place % 2 for number in range(20) for draw in shared[1][number]} == {1}
    for order in (alone, *shared):
        assert all(len({bool(is_wide[draw.image]) for draw in order[number]}) == 1 for number in range(100))
    first_pass = [image for place, image in line.items() if place < 1001]
    assert sorted(first_pass) == list(range(1001))


def test_batches_are_found_from_any_place() -> None:
    order = TrainingOrder(np.ones(5, dtype=bool), 2, seed=0, rank=0, world_size=1, grouped=True)
    forwards = [order[number] for number in (0, 1, 50000, 90000)]
    backwards = [order[number] for number in (90000, 50000, 1, 0)]
    assert forwards == backwards[::-1]
    assert order[90000][0].place == 180000


def test_without_grouping_the_line_is_cut_into_batches() -> None:
    order = TrainingOrder(np.arange(10) % 2 > 0, 3, seed=0, rank=1, world_size=2, grouped=False)
    assert [draw.place for number in range(4) for draw in order[number]] == list(range(1, 24, 2))


def test_crops_are_drawn_within_their_limits(config: CfgNode) -> None:
    size, steps = Size(640, 300), []
    for seed in range(300):
        steps.append(draw_steps(size, config, torch.Generator().manual_seed(seed)))

    crops = [step for drawn in steps for step in drawn if isinstance(step, Crop)]
    befores = [step.target for drawn in steps for step in drawn[:-1] if isinstance(step, Resize)]
    assert {before.h for before in befores} == {400, 500, 600}
    assert 100 < len(crops) == len(befores) < 200
    assert 100 < sum(isinstance(drawn[0], Mirror) for drawn in steps) < 200
    for crop, before in zip(crops, befores, strict=True):
        assert 384 <= crop.target.w <= 600
        assert 384 <= crop.target.h <= min(600, before.h)
        assert 0 <= crop.left <= before.w - crop.target.w
        assert 0 <= crop.top <= before.h - crop.target.h
    assert all(isinstance(drawn[-1], Resize) for drawn in steps)


def test_boxes_follow_their_image_and_leave_with_it() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 5, 40, 25], [90, 40, 120, 70]], dtype=torch.float64)
    steps: list[Step] = [Mirror(), Crop(50, 0, Size(50, 20)), Resize(Size(100, 40))]

    moved, is_left = transform_boxes(boxes, Size(100, 50), steps)

    assert is_left.tolist() == [True, True, False]
    assert moved[:2].tolist() == [[80, 0, 100, 20], [20, 10, 60, 40]]


def test_cameras_held_upright(tmp_path: Path) -> None:
    source = write_coco(tmp_path, {1: (40, 30)}, [annotation(1, 1, 1, [0, 0, 5, 5])], {1: "cat"})
    stored = Image.open(source.images / "1.png").rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    stored.save(source.images / "1.png", exif=exif)
    assert upright_image(read_coco(source), 0).size == (40, 30)

    stored.save(source.images / "1.png")
    with pytest.raises(DataError, match=r"is 30 x 40 pixels, but .*image 1, of annotations 1, says 40 x 30"):
        upright_image(read_coco(source), 0)


def test_test_images_come_one_by_one(config: CfgNode) -> None:
    config.INPUT.MIN_SIZE_TEST, config.INPUT.MAX_SIZE_TEST = 64, 90
    batches = [list(build_test_loader(config, "tiny", rank, 2)) for rank in range(2)]
    assert [[sample.image_id for batch in part for sample in batch] for part in batches] == [[1, 3, 5, 7], [2, 4, 6]]
    (first,) = batches[0][0]
    assert tuple(first.image.shape) == (3, 60, 90)
    assert (first.width, first.height, len(first.targets)) == (48, 32, 0)
