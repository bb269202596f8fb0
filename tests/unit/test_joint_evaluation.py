"""The joint evaluation: its box logic against a plain loop, hard inputs, needs, and the published command line."""

from pathlib import Path

import pytest
import torch
from torchvision.ops import nms

from baselines.detector_retrieval import main_detector_retrieval, tasks
from baselines.detector_retrieval.detector.model import build_detector
from baselines.detector_retrieval.detector.weights import BEST_FILE
from baselines.detector_retrieval.joint.bench import compare
from baselines.detector_retrieval.joint.config_check import detector_config
from baselines.detector_retrieval.joint.evaluation import Retriever
from baselines.detector_retrieval.joint.matching import ClassDescriptors, Suppression, detections
from baselines.detector_retrieval.joint.patches import cut_patches, views_of_class_image, whole_corners
from baselines.detector_retrieval.joint.proposals import merge
from baselines.detector_retrieval.retrieval.network import NetworkDescription, build_network
from baselines.detector_retrieval.retrieval.weights import checkpoint
from os2d.console import ConsoleRun
from os2d.errors import CheckpointError, ConfigError
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size
from tests.small_case import SMALL_SHELF

SIZE = Size(w=80, h=60)


@pytest.fixture(scope="module")
def retriever() -> Retriever:
    return Retriever(build_network(NetworkDescription("resnet18"), torch.Generator().manual_seed(0)), 32, True)


def random_boxes(count: int, generator: torch.Generator) -> BoxList:
    corner = torch.rand(count, 2, generator=generator) * 50
    return BoxList(torch.cat([corner, corner + 5 + torch.rand(count, 2, generator=generator) * 20], dim=1), SIZE)


def unit(*shape: int, generator: torch.Generator) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=generator), dim=-1)


@pytest.mark.parametrize(("threshold", "across"), [(-float("inf"), False), (0.1, False), (0.0, True)])
def test_detections_are_those_of_every_view_and_box_pair(threshold: float, across: bool) -> None:
    generator = torch.Generator().manual_seed(4)
    boxes, views, class_ids = random_boxes(40, generator), unit(3, 4, 8, generator=generator), torch.tensor([2, 5, 9])
    vectors = unit(40, 8, generator=generator)
    found = detections(
        boxes, ClassDescriptors(class_ids, views).scores(vectors), class_ids, Suppression(0.3, threshold, across)
    )

    pairs = [(c, v, b) for c in range(3) for v in range(4) for b in range(40)]
    labels = torch.tensor([int(class_ids[c]) for c, _, _ in pairs])
    scores = torch.stack([views[c, v] @ vectors[b] for c, v, b in pairs])
    every = boxes.boxes_xyxy[torch.tensor([b for _, _, b in pairs])]
    groups = [scores > threshold] if across else [(labels == c) & (scores > threshold) for c in class_ids]
    expected = []
    for group in groups:
        (places,) = group.nonzero(as_tuple=True)
        expected.append(places[nms(every[places], scores[places], 0.3)])
    kept = torch.cat(expected)
    torch.testing.assert_close(found.boxes_xyxy, every[kept])
    torch.testing.assert_close(found.field("labels"), labels[kept])
    torch.testing.assert_close(found.field("scores"), scores[kept])


def test_no_proposal_is_no_detection(retriever: Retriever) -> None:
    none = BoxList(torch.empty(0, 4), SIZE, {"scores": torch.empty(0)})
    boxes, vectors = retriever.describe_boxes(torch.rand(3, SIZE.h, SIZE.w), merge(none, 0.3, 0.1))
    classes = ClassDescriptors(torch.tensor([1, 2]), torch.rand(2, 1, 512))
    found = detections(boxes, classes.scores(vectors), classes.class_ids, Suppression(0.3, -float("inf")))

    assert len(found) == 0
    assert found.field("labels").dtype == torch.int64


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 1, 40), (3, 40, 1)])
@torch.no_grad()
def test_class_images_of_single_pixels_are_described(shape: tuple[int, ...], retriever: Retriever) -> None:
    views = views_of_class_image(torch.rand(shape), retriever.image_size, "rotation90")
    vectors = retriever.describe(views)

    assert len(vectors) == 4
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))


@torch.no_grad()
def test_boxes_beside_the_image_are_left_out(retriever: Retriever) -> None:
    boxes = BoxList(torch.tensor([[0.0, 0, 20, 20], [90, 5, 99, 9], [-9, -9, 12.7, 7.9], [3.2, 3, 3.9, 9]]), SIZE)
    image = torch.rand(3, SIZE.h, SIZE.w)
    kept, vectors = retriever.describe_boxes(image, boxes)

    assert kept.boxes_xyxy.tolist() == boxes.boxes_xyxy[[0, 2]].tolist()
    patches, _ = cut_patches(image, whole_corners(boxes.boxes_xyxy, SIZE), retriever.image_size)
    torch.testing.assert_close(vectors[1:], retriever.describe([patches[1]]), rtol=1e-4, atol=1e-5)
    assert whole_corners(boxes.boxes_xyxy, SIZE)[2] == (0, 0, 12, 7)


SMALL_DETECTOR = [
    *("MODEL.DEVICE", "cpu", "MODEL.BACKBONE.CONV_BODY", "R-18-FPN", "MODEL.ROI_BOX_HEAD.NUM_CLASSES", "0"),
    *("MODEL.RESNETS.BACKBONE_OUT_CHANNELS", "32", "MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM", "32"),
    *("MODEL.RPN.FPN_POST_NMS_TOP_N_TEST", "40", "MODEL.ROI_HEADS.DETECTIONS_PER_IMG", "10"),
]


def test_the_task_takes_its_parts_from_needs(shelf: Path, tmp_path: Path) -> None:
    config = tasks.joint_evaluate.default_config()
    values = {
        "is_cuda": False,
        "eval.dataset_names": [f"custom:{shelf}#val-new-cl"],
        "eval.dataset_scales": [112.0],
        "eval.scales_of_image_pyramid": [0.5, 1.0],
        "eval.class_image_augmentation": "horflip",
        "joint.detector_options": SMALL_DETECTOR,
        "joint.retrieval_image_size": 32,
        "runtime.num_workers": 0,
        "visualization.eval.path_to_save_detections": str(tmp_path / "saved"),
    }
    config.merge_from_list([part for key, value in values.items() for part in (key, value)])
    tasks.joint_evaluate.validate(config)
    detector, network = tmp_path / "detector", tmp_path / "retrieval"
    for folder in (detector, network):
        folder.mkdir()
    torch.save({"model": build_detector(detector_config(config)).state_dict()}, detector / BEST_FILE)
    torch.save(checkpoint(build_network(NetworkDescription("resnet18"))), network / "model_best.pth.tar")

    with ConsoleRun(tmp_path / "run", seed=0, inputs={"detector": detector, "retrieval": network}) as run:
        metrics = tasks.joint_evaluate(config, run)

    assert 0 <= metrics["mAP@0.50_small-val-new-cl"] <= 1
    saved = torch.load(tmp_path / "saved" / "small-val-new-cl_detections.pth", weights_only=True)
    assert len(saved["image_ids"]) == len(saved["boxes_xyxy"]) == SMALL_SHELF.val_images
    assert sum(map(len, saved["scores"])) > 0
    assert (tmp_path / "run" / "artifacts" / "precision_recall" / "small-val-new-cl.json").is_file()
    with pytest.raises(CheckpointError, match=r"model_best\.pth"), ConsoleRun(None, 0, {"detector": network}) as run:
        tasks.joint_evaluate(config, run)
    with (
        pytest.raises(ConfigError, match=r"joint\.retrieval_network"),
        ConsoleRun(None, 0, {"detector": detector}) as r,
    ):
        tasks.joint_evaluate(config, r)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("eval.class_image_augmentation", "horflip_rotation90", "rotation90"),
        ("joint.detector_options", ["MODEL.NOTHING", "1"], "MODEL.NOTHING"),
        ("joint.nms_iou_threshold", 1.5, "from 0 to 1"),
        ("joint.retrieval_image_size", 0, "1 or more"),
    ],
)
def test_mistakes_are_said_at_plan_time(key: str, value: object, message: str) -> None:
    config = tasks.joint_evaluate.default_config()
    config.merge_from_list([key, value])
    with pytest.raises(ConfigError, match=message):
        tasks.joint_evaluate.validate(config)


def test_the_published_command_line_is_understood() -> None:
    line = [
        *("--retrieval_multiscale", "--maskrcnn_config_file", "a.yaml", "--maskrcnn_weight_file", "b.pth"),
        *("--retrieval_network_path", "c.pth.tar", "--retrieval_image_size", "240", "is_cuda", "True"),
        *("eval.dataset_names", '["instre-s1-test"]', "eval.dataset_scales", "[700]"),
        *("eval.mAP_iou_thresholds", "[0.5]", "eval.class_image_augmentation", "rotation90"),
    ]
    config = main_detector_retrieval.config_of(main_detector_retrieval._parser().parse_args(line))

    assert config.joint.retrieval_multiscale
    assert config.joint.detector_weights == "b.pth"
    assert config.eval.dataset_names == ["instre-s1-test"]
    assert config.eval.class_image_augmentation == "rotation90"


def test_the_loop_that_is_compared_with_finds_the_same() -> None:
    *_, faster, apart = compare("resnet18", 8, num_boxes=3, num_classes=2, repetitions=1)

    assert faster.startswith("times faster: ")
    assert float(apart.rpartition(": ")[2]) < 1e-3
