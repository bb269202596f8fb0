"""OS2D on single images: the numbers of its evaluation, features of classes that are kept, several images at once."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from yacs.config import CfgNode

from os2d import Detector
from os2d.console import ConsoleRun
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.data.shelf.store import draw_shelf
from os2d.detector import Detection, LearnedClasses
from os2d.engine.evaluation import Evaluation, EvaluationSet, evaluate_model
from os2d.errors import CheckpointError, ConfigError, DataError
from os2d.modeling.network import Os2d
from tests.small_case import SMALL_SHELF
from tests.trained_os2d import small_config, write_trial

EVERYTHING = -10.0
"""A threshold below every score."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DatasetOneShotDetection:
    folder = tmp_path_factory.mktemp("data") / "small"
    draw_shelf(folder, replace(SMALL_SHELF, train_images=2))
    return build_dataset(f"custom:{folder}#train", folder.parent)


@pytest.fixture(scope="module")
def config() -> CfgNode:
    return small_config()


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory, config: CfgNode) -> tuple[Path, Os2d]:
    folder = tmp_path_factory.mktemp("runs") / "trial"
    return folder, write_trial(folder, config)


@pytest.fixture(scope="module")
def detector(trial: tuple[Path, Os2d]) -> Detector:
    return Detector.from_checkpoint(trial[0] / "checkpoints" / "checkpoint_iter_3.pth", device="cpu")


def class_images(dataset: DatasetOneShotDetection) -> dict[str, Image.Image]:
    return {str(class_id): dataset.class_image(class_id) for class_id in dataset.class_ids}


def evaluate(model: Os2d, dataset: DatasetOneShotDetection, config: CfgNode) -> Evaluation:
    with ConsoleRun(None, seed=0) as run:
        sets = [EvaluationSet(dataset, config.eval.dataset_scales[0])]
        (evaluation,) = evaluate_model(model, sets, config, run, num_pictured=9).values()
    return evaluation


def same_as_evaluated(found: list[Detection], evaluation: Evaluation, number: int) -> None:
    expected = evaluation.detections[number]
    order = expected.field("scores").argsort(descending=True, stable=True)
    expected = expected[order]
    assert len(found) == len(expected) > 10
    torch.testing.assert_close(torch.tensor([one.score for one in found]), expected.field("scores"))
    torch.testing.assert_close(torch.tensor([one.box_xyxy for one in found]), expected.boxes_xyxy, rtol=0, atol=1e-3)
    assert [int(one.label) for one in found] == expected.field("labels").tolist()
    corners = expected.field("transform_corners").unflatten(1, (4, 2))[:, [0, 1, 3, 2]]
    torch.testing.assert_close(torch.tensor([one.corners for one in found]), corners, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "overrides",
    [{}, {"eval.class_image_augmentation": "rotation90", "eval.nms_across_classes": True}],
    ids=["plain", "views suppressed across classes"],
)
def test_detections_are_those_of_the_evaluation(
    overrides: dict[str, object], dataset: DatasetOneShotDetection, trial: tuple[Path, Os2d]
) -> None:
    detector = Detector.from_checkpoint(trial[0], overrides, device="cpu")
    evaluation = evaluate(trial[1], dataset, small_config(**overrides))
    classes = detector.learn(class_images(dataset))
    for number, image_id in enumerate(evaluation.image_ids):
        found = detector.detect(dataset.load_image(image_id), classes, threshold=EVERYTHING)
        same_as_evaluated(found, evaluation, number)


def test_images_at_once_have_the_detections_of_each_alone(detector: Detector, dataset: DatasetOneShotDetection) -> None:
    first, second = map(dataset.load_image, dataset.image_ids)
    smaller = first.resize((70, 56))
    pictures = class_images(dataset)
    all_classes = detector.learn(pictures)
    one_class = detector.learn(dict(list(pictures.items())[:1]))
    images = [first, smaller, second, first]
    classes = [all_classes, all_classes, all_classes, one_class]
    together = detector.detect_batch(images, classes, thresholds=[EVERYTHING, 0.2, 0.2, 0.2], max_detections=[5] * 4)
    for image, learned, threshold, found in zip(images, classes, (EVERYTHING, 0.2, 0.2, 0.2), together, strict=True):
        alone = detector.detect(image, learned, threshold=threshold, max_detections=5)
        assert [one.label for one in found] == [one.label for one in alone]
        assert [one.score for one in found] == pytest.approx([one.score for one in alone], abs=1e-5)
    assert {one.label for one in together[3]} == {all_classes.names[0]}


def test_views_under_one_name_are_suppressed_jointly(detector: Detector, dataset: DatasetOneShotDetection) -> None:
    image = dataset.load_image(dataset.image_ids[0])
    tea, soap = map(dataset.class_image, dataset.class_ids[:2])
    once = detector.detect(image, {"tea": tea, "soap": soap}, threshold=EVERYTHING)
    twice = detector.detect(image, {"tea": [tea, tea], "soap": soap}, threshold=EVERYTHING)
    assert [one.label for one in twice] == [one.label for one in once]
    assert [one.score for one in twice] == pytest.approx([one.score for one in once], abs=1e-5)


def test_joined_classes_find_what_each_finds(detector: Detector, dataset: DatasetOneShotDetection) -> None:
    image = dataset.load_image(dataset.image_ids[0])
    tea, soap = map(dataset.class_image, dataset.class_ids[:2])
    apart = [detector.learn({"tea": tea}), detector.learn({"soap": soap})]
    together = LearnedClasses.join(apart)
    assert together.names == ("tea", "soap")
    found = [one for part in apart for one in detector.detect(image, part, threshold=EVERYTHING)]
    joined = detector.detect(image, together, threshold=EVERYTHING)
    assert sorted(one.score for one in joined) == pytest.approx(sorted(one.score for one in found), abs=1e-5)
    assert LearnedClasses.join([apart[0], detector.learn({"tea": soap})]).groups[0].views == 2


def test_the_best_come_first_and_exceed_the_threshold(detector: Detector, dataset: DatasetOneShotDetection) -> None:
    image, pictures = dataset.load_image(dataset.image_ids[0]), class_images(dataset)
    everything = detector.detect(image, pictures, threshold=EVERYTHING)
    scores = [one.score for one in everything]
    assert scores == sorted(scores, reverse=True)
    middle = scores[len(scores) // 2]
    above = detector.detect(image, pictures, threshold=middle)
    assert above == [one for one in everything if one.score > middle]
    assert detector.detect(image, pictures, threshold=middle, max_detections=2) == above[:2]


def test_scales_are_longer_sides_in_pixels(detector: Detector, dataset: DatasetOneShotDetection) -> None:
    image, pictures = dataset.load_image(dataset.image_ids[0]), class_images(dataset)
    assert detector.default_scales == (112.0, 140.0)
    default = detector.detect(image, pictures, threshold=EVERYTHING)
    assert detector.detect(image, pictures, threshold=EVERYTHING, scales=[112, 140]) == default
    assert detector.detect(image, pictures, threshold=EVERYTHING, scales=[112]) != default


def test_files_and_pictures_of_any_mode_are_taken(
    detector: Detector, dataset: DatasetOneShotDetection, tmp_path: Path
) -> None:
    image = dataset.load_image(dataset.image_ids[0])
    image.save(tmp_path / "shelf.png")
    tea = tmp_path / "tea.png"
    picture = dataset.class_image(dataset.class_ids[0])
    picture.save(tea)
    expected = detector.detect(image, {"tea": picture}, threshold=EVERYTHING)
    assert detector.detect(tmp_path / "shelf.png", [tea], threshold=EVERYTHING) == expected
    assert detector.detect(image.convert("RGBA"), [str(tea)], threshold=EVERYTHING) == expected
    turned = image.getexif()
    turned[0x0112] = 6  # the camera was held upright
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=turned)
    assert detector.detect(tmp_path / "turned.png", [tea], threshold=EVERYTHING) == expected


def test_a_network_without_a_configuration_beside_it_is_built_from_its_weights(
    trial: tuple[Path, Os2d], tmp_path: Path
) -> None:
    alone = tmp_path / "weights.pth"
    alone.write_bytes((trial[0] / "checkpoints" / "checkpoint_iter_3.pth").read_bytes())
    with pytest.raises(ConfigError, match=r"eval\.dataset_scale: no such key"):
        Detector.from_checkpoint(alone, {"eval.dataset_scale": 140.0}, device="cpu")
    detector = Detector.from_checkpoint(alone, {"eval.dataset_scales": [140.0]}, device="cpu")
    assert detector.default_scales == (70.0, 87.5, 112.0, 140.0, 168.0, 196.0, 224.0)
    assert all(
        torch.equal(tensor, trial[1].state_dict()[name])
        for name, tensor in detector.network.state_dict().items()  # type: ignore[attr-defined]
    )


def test_what_cannot_be_used_is_said(detector: Detector, trial: tuple[Path, Os2d], tmp_path: Path) -> None:
    image = Image.new("RGB", (112, 84))
    with pytest.raises(DataError, match="expected at least one picture of a class, got none"):
        detector.learn({})
    with pytest.raises(DataError, match="two pictures are called 'tea'"):
        detector.learn([tmp_path / "a" / "tea.png", tmp_path / "b" / "tea.png"])
    with pytest.raises(DataError, match=r"tea\.png: no such image file"):
        detector.learn([tmp_path / "tea.png"])
    with pytest.raises(ConfigError, match="scales: expected at least one positive number"):
        detector.detect(image, [image], scales=[0])
    another = Detector.from_checkpoint(trial[0], device="cpu")
    with pytest.raises(DataError, match="learned by another network"):
        detector.detect(image, another.learn([image]))
    with pytest.raises(ConfigError, match="device: expected one of auto, cpu, cuda, got 'gpu'"):
        Detector.from_checkpoint(trial[0], device="gpu")
    resnet = tmp_path / "resnet.pth"
    torch.save({"conv1.weight": torch.zeros(1), "layer1.0.conv1.weight": torch.zeros(1)}, resnet)
    with pytest.raises(CheckpointError, match="holds a ResNet under torchvision's names, with which nothing can be"):
        Detector.from_checkpoint(resnet)
