"""CoAE and OneNet behind the interface of all detectors: the numbers of their own evaluations."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.coae.detector import CoAEDetector
from baselines.coae.engine.evaluation import build_evaluation_sets, evaluate_model
from baselines.coae.modeling.model import build_coae
from baselines.coae.modeling.weights import checkpoint
from baselines.onenet.config_file import PUBLISHED, read_config
from baselines.onenet.data.class_names import COCO
from baselines.onenet.detector import OneNetDetector
from baselines.onenet.modeling.model import build_model
from baselines.onenet.predictor import Predictor
from os2d.console import ConsoleRun
from os2d.detector import Detector
from os2d.errors import CheckpointError, ConfigError
from tests.coae_case import config_of
from tests.trained_os2d import nested


def test_coae_detects_what_its_evaluation_detects(shelf: Path, tmp_path: Path) -> None:
    settings = {"eval__searched_classes": "all", "eval__class_image_augmentation": "rotation90"}
    config = config_of(shelf, **settings, eval__scales=[64])
    model = build_coae(config, torch.Generator().manual_seed(0))
    with ConsoleRun(None, seed=0) as run:
        (records,) = build_evaluation_sets(config)
        (evaluation,) = evaluate_model(model, [records], config, run).values()
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints" / "best_model_1.pth"
    torch.save(checkpoint(model, None, session=1, epoch=2), path)
    (tmp_path / "trial.json").write_text(json.dumps({"config": nested(config)}))

    detector = Detector.from_checkpoint(tmp_path, device="cpu")

    assert isinstance(detector, CoAEDetector)
    pictures = {str(class_id): records.class_image(k) for k, class_id in enumerate(records.class_ids, 1)}
    classes = detector.learn(pictures)
    for number, record in enumerate(records.images):
        found = detector.detect(records.image(record), classes, threshold=0.0)
        expected = evaluation.detections[number]
        expected = expected[expected.field("scores").argsort(descending=True, stable=True)]
        assert len(found) == len(expected) > 5
        torch.testing.assert_close(torch.tensor([one.score for one in found]), expected.field("scores"))
        torch.testing.assert_close(torch.tensor([one.box_xyxy for one in found]), expected.boxes_xyxy)
        assert [int(one.label) for one in found] == expected.field("labels").tolist()
        assert all(one.corners is None for one in found)


def test_coae_without_its_configuration_is_built_from_its_weights(shelf: Path, tmp_path: Path) -> None:
    model = build_coae(config_of(shelf, model__anchor_scales=[4.0, 8.0, 16.0, 32.0]))
    path = tmp_path / "alone.pth"
    torch.save(checkpoint(model, None, session=1, epoch=2), path)
    detector = Detector.from_checkpoint(path, {"model.query_size": 32, "eval.scales": [48]}, device="cpu")
    assert (detector.name, detector.default_scales) == ("CoAE", (48.0,))
    with pytest.raises(ConfigError, match=r"eval\.scales: expected at least one positive whole number"):
        Detector.from_checkpoint(path, {"eval.scales": [-3]}, device="cpu")


@pytest.fixture(scope="module")
def onenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published layout whose network finds the classes person and car around every location."""
    state = build_model(read_config(PUBLISHED / "onenet.res18.nodcn.yaml")).state_dict()
    state["head.cls_score.bias"][[0, 2]] = 4.0
    state["head.ltrb_pred.bias"] += 8.0
    path = tmp_path_factory.mktemp("weights") / "r18_nodcn.pth"
    torch.save({"model": state}, path)
    return path


def test_onenet_detects_what_its_predictor_detects(onenet: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8))
    overrides = {"INPUT.MIN_SIZE_TEST": 32, "TEST.DETECTIONS_PER_IMAGE": 6}
    settings = [str(word) for pair in overrides.items() for word in pair]
    own = [*settings, "MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", str(onenet)]
    expected = Predictor(read_config(PUBLISHED / "onenet.res18.nodcn.yaml", own))(picture)

    detector = Detector.from_checkpoint(onenet, overrides, device="cpu")

    assert isinstance(detector, OneNetDetector)
    assert detector.class_names == COCO
    found = detector.detect(picture, threshold=0.0)
    assert [one.score for one in found] == expected.scores_N.tolist()
    assert [list(one.box_xyxy) for one in found] == expected.boxes_N4.tolist()
    assert [one.label for one in found] == [COCO[number] for number in expected.classes_N.tolist()]
    assert {one.label for one in found} == {"person", "car"}
    cars = detector.detect(picture, ["car"], threshold=0.0, max_detections=2)
    assert cars == [one for one in found if one.label == "car"][:2]
    assert detector.detect(picture, threshold=0.0, scales=[64]) != found
    with pytest.raises(ConfigError, match=r"class 'catt'.*did you mean 'cat'"):
        detector.detect(picture, ["catt"])
    with pytest.raises(ConfigError, match="OneNet sees an image at one size"):
        detector.detect(picture, scales=[32, 64])


def test_a_onenet_of_another_shape_is_refused(tmp_path: Path) -> None:
    torch.save({"head.x": torch.zeros(1), "backbone.y": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="fits no published configuration of OneNet"):
        Detector.from_checkpoint(tmp_path / "other.pth", device="cpu")
