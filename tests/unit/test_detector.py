"""The detector's parts: matching and drawing, proposals, detections, images of any size."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.detector_retrieval.detector.classes import ObjectClasses
from baselines.detector_retrieval.detector.config import default_config
from baselines.detector_retrieval.detector.config_check import check_training
from baselines.detector_retrieval.detector.detection import View, detect, seen_in, views_of
from baselines.detector_retrieval.detector.matching import IGNORED, NEGATIVE, draw_balanced, match, match_every_object
from baselines.detector_retrieval.detector.model import Detector, build_detector
from baselines.detector_retrieval.detector.postprocess import DetectionFilter
from baselines.detector_retrieval.detector.rpn import ProposalSelector
from baselines.detector_retrieval.detector.schedule import Schedule
from baselines.detector_retrieval.detector.train_batches import TrainBatches
from baselines.legacy_boxes import mirrored
from os2d.config_reading import read_config
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.errors import ConfigError, DataError
from os2d.structures.sizes import Size
from tests.unit.detector_case import small_config

FILES = sorted((Path(__file__).parents[2] / "baselines" / "detector_retrieval" / "detector" / "config").glob("*.yaml"))
OVERLAPS = torch.tensor([[0.8, 0.5, 0.2, 0.2, 0.0], [0.1, 0.1, 0.25, 0.1, 0.25]])
"""Of two objects with five boxes; the second object's best boxes overlap it little."""


@pytest.fixture(scope="module")
def detector() -> Detector:
    return build_detector(small_config()).eval()


@pytest.fixture(scope="module")
def dataset(shelf: Path) -> DatasetOneShotDetection:
    return build_dataset(f"custom:{shelf}#train", shelf)


def picture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width)
    return Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))


def test_boxes_are_matched_by_overlap() -> None:
    assert match(OVERLAPS, 0.7, 0.3).tolist() == [0, IGNORED, NEGATIVE, NEGATIVE, NEGATIVE]


def test_every_object_gets_its_best_boxes() -> None:
    assert match_every_object(OVERLAPS, 0.7, 0.3).tolist() == [0, IGNORED, 1, NEGATIVE, 1]


def test_few_positives_leave_room_for_negatives() -> None:
    labels = torch.tensor([1, -1, 0, 2, 0, 0, 0, 1])
    positives, negatives = draw_balanced(labels, 4, 0.25, torch.Generator().manual_seed(0))
    assert len(positives) == 1 and len(negatives) == 3
    assert set(positives.tolist()) <= {0, 3, 7} and set(negatives.tolist()) <= {2, 4, 5, 6}
    positives, negatives = draw_balanced(labels, 40, 0.5, torch.Generator().manual_seed(0))
    assert positives.tolist() == [0, 3, 7] and negatives.tolist() == [2, 4, 5, 6]


def test_training_keeps_the_best_proposals_of_the_whole_batch() -> None:
    corners = torch.arange(6.0)[:, None] * 20
    anchors = torch.cat([corners, corners + 9], dim=1)[:, [0, 0, 1, 1]]
    logits, codes = torch.tensor([[3.0, 2, 1, 0, -1, -2], [9.0, 8, 7, 6, 5, 4]]), torch.zeros(2, 6, 4)
    selector = ProposalSelector(6, 6, 7, 0.7)
    sizes = [Size(200, 200)] * 2
    assert [len(p.scores_N) for p in selector.of_batch([(logits, codes)], [anchors], sizes)] == [1, 6]
    assert [len(p.scores_N) for p in selector.of_each_image([(logits, codes)], [anchors], sizes)] == [6, 6]


def test_detections_of_many_classes_keep_the_order_of_the_proposals() -> None:
    boxes = torch.tensor([[0.0, 0, 9, 9], [50, 50, 59, 59], [1, 0, 9, 9]])[:, None].expand(3, 3, 4)
    scores = torch.tensor([[0.1, 0.4, 0.5], [0.1, 0.7, 0.2], [0.1, 0.6, 0.3]])
    found = DetectionFilter(-10.0, 0.5, 0)(boxes, scores)
    assert found.labels_N.tolist() == [1, 1, 2, 2]
    torch.testing.assert_close(found.scores_N, torch.tensor([0.7, 0.6, 0.5, 0.2]))
    assert DetectionFilter(0.55, 0.5, 0)(boxes, scores).labels_N.tolist() == [1, 1]
    assert len(DetectionFilter(0.9, 0.5, 100)(boxes, scores).scores_N) == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (64, 40)])
def test_proposals_lie_in_images_of_any_size(detector: Detector, size: tuple[int, int]) -> None:
    width, height = size
    [found] = detector.propose([torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))])
    assert 0 < len(found.boxes_N4) <= 100
    limits = torch.tensor([width - 1, height - 1, width - 1, height - 1])
    assert (found.boxes_N4 >= 0).all() and (found.boxes_N4 <= limits).all()
    assert not found.scores_N.requires_grad


def test_no_image_has_no_proposals(detector: Detector) -> None:
    assert detector.propose([]) == []


def test_images_of_a_batch_do_not_mix(detector: Detector) -> None:
    images = torch.rand(2, 3, 40, 64, generator=torch.Generator().manual_seed(2))
    together, alone = detector.propose(list(images)), [detector.propose([image])[0] for image in images]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.scores_N, other.scores_N)
        torch.testing.assert_close(one.boxes_N4, other.boxes_N4, atol=1e-3, rtol=1e-4)


def test_boxes_of_a_mirrored_view_are_brought_back(detector: Detector) -> None:
    image = picture(64, 48)
    turned = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    plain, mirror = View(48, 100), View(48, 100, is_mirrored=True)
    found = detect(detector, seen_in(turned, [plain]), [plain])
    back = detect(detector, seen_in(image, [mirror]), [mirror])
    torch.testing.assert_close(back.boxes_xyxy, mirrored(found.boxes_xyxy, 64))


def test_views_are_those_of_the_configuration() -> None:
    config = small_config(TEST__BBOX_AUG__SCALES=(48, 96), TEST__BBOX_AUG__H_FLIP=True)
    assert views_of(config) == [View(64, 1280)]
    config.TEST.BBOX_AUG.ENABLED = True
    assert views_of(config) == [View(64, 1280), View(64, 1280, True), View(48, 4000), View(96, 4000)]


def test_parts_of_the_body_do_not_learn() -> None:
    learning = {
        n
        for n, p in build_detector(small_config(MODEL__BACKBONE__FREEZE_CONV_BODY_AT=2)).named_parameters()
        if p.requires_grad
    }
    assert not any(".stem." in name or ".layer1." in name for name in learning)
    assert any(".layer2." in name for name in learning)


def test_a_bottleneck_halves_the_image_in_its_first_convolution() -> None:
    body = build_detector(small_config(MODEL__BACKBONE__CONV_BODY="R-50-FPN")).backbone.body
    first = body.get_submodule("layer2.0")
    assert (first.get_submodule("conv1").stride, first.get_submodule("conv2").stride) == ((2, 2), (1, 1))


def test_classes_of_a_training_set_are_needed_to_count_them() -> None:
    with pytest.raises(ConfigError, match="NUM_CLASSES: -1"):
        build_detector(small_config(MODEL__ROI_BOX_HEAD__NUM_CLASSES=-1))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_published_configurations_are_accepted(file: Path) -> None:
    config = read_config(file, [], default_config)
    check_training(config)
    is_bgr, num_classes = config.INPUT.TO_BGR255, config.MODEL.ROI_BOX_HEAD.NUM_CLASSES
    assert is_bgr == ("fromPytorch" not in file.stem)
    assert num_classes == (0 if "noClasses" in file.stem else -1)


def test_there_are_six_published_configurations() -> None:
    assert len(FILES) == 6


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("MODEL__RPN__BG_IOU_THRESHOLD", 0.9, "MODEL.RPN.BG_IOU_THRESHOLD: expected at most"),
        ("MODEL__META_ARCHITECTURE", "RetinaNet", "GeneralizedRCNN"),
        ("DATASETS__TRAIN", ("grozi-train", "dairy"), "expected one data set"),
        ("DATASETS__TEST", (), "at least one data set"),
        ("SOLVER__STEPS", (20, 10), "rising positive numbers"),
        ("DATALOADER__SIZE_DIVISIBILITY", 30, "multiple of 32"),
    ],
)
def test_wrong_values_are_named(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_training(small_config(None, **{key: value}))


def test_one_gpu_learns_from_smaller_batches_for_longer() -> None:
    schedule = Schedule.from_config(default_config().SOLVER, processes=1)
    assert (schedule.base_lr, schedule.max_iter, schedule.milestones) == (0.0025, 720000, (480000, 640000))
    assert schedule.images_per_process == 2 and schedule.warmup_steps == 500


def test_every_epoch_sees_every_image_once(dataset: DatasetOneShotDetection) -> None:
    batches = TrainBatches(dataset, ObjectClasses(None), small_config(), seed=5, batch_size=2)
    epochs = [
        [batches.image_ids_of(epoch * batches.batches_per_epoch + n) for n in range(batches.batches_per_epoch)]
        for epoch in range(6)
    ]
    assert all(sorted(chain(*epoch)) == sorted(dataset.image_ids) for epoch in epochs)
    assert any(epoch != epochs[0] for epoch in epochs)  # five images: two epochs may well be equal


def test_a_batch_depends_on_its_number_alone(dataset: DatasetOneShotDetection) -> None:
    config = small_config(INPUT__HORIZONTAL_FLIP_PROB_TRAIN=0.5)
    first, second = (TrainBatches(dataset, ObjectClasses(None), config, seed=5, batch_size=2)[4] for _ in range(2))
    for image, same in zip(first.images_hw3, second.images_hw3, strict=True):
        assert torch.equal(image, same)
    for objects, same_objects in zip(first.objects, second.objects, strict=True):
        assert torch.equal(objects.boxes_N4, same_objects.boxes_N4)


def test_boxes_are_mirrored_with_their_image(dataset: DatasetOneShotDetection) -> None:
    settings: dict[str, Any] = {"INPUT__MIN_SIZE_TRAIN": (112,)}
    plain, turned = (
        TrainBatches(dataset, ObjectClasses(None), small_config(INPUT__HORIZONTAL_FLIP_PROB_TRAIN=p, **settings), 5, 1)[
            2
        ]
        for p in (0.0, 1.0)
    )
    assert torch.equal(plain.images_hw3[0].flip(1), turned.images_hw3[0])
    torch.testing.assert_close(
        mirrored(plain.objects[0].boxes_N4, plain.images_hw3[0].shape[1]), turned.objects[0].boxes_N4
    )


def test_training_images_without_a_box_are_refused(dataset: DatasetOneShotDetection) -> None:
    names = [*dataset.image_file_names, dataset.image_file_names[0]]
    emptied = DatasetOneShotDetection(
        dataset.gtboxframe,
        None,
        dataset.images_folder,
        "shelf",
        112,
        image_ids=[*dataset.image_ids, 999],
        image_file_names=names,
    )
    with pytest.raises(DataError, match=r"image 999 .* 0 more have none"):
        TrainBatches(emptied, ObjectClasses(None), small_config(), seed=5, batch_size=2)
