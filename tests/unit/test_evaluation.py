"""Evaluation of drawn images with a tiny network: shared between processes, and saved."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from yacs.config import CfgNode

from os2d.config import default_config
from os2d.console import ConsoleRun
from os2d.data.shelf.store import draw_shelf
from os2d.engine.evaluation import Evaluation, build_evaluation_sets, evaluate_model
from os2d.modeling.network import build_os2d
from tests.small_case import SMALL_NETWORK, SMALL_SHELF
from tests.unit.two_processes import answers_of_two

SHARED = """
import torch
torch.set_num_threads(1)
from tests.unit.test_evaluation import evaluate, evaluation_config, plain
answer = plain(evaluate(evaluation_config(shelf, result.with_suffix(".saved"))))
"""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "small"
    draw_shelf(folder, replace(SMALL_SHELF, train_images=3))
    return folder


def evaluation_config(folder: Path, saved: Path | None = None) -> CfgNode:
    config = default_config()
    values: dict[str, object] = {
        **SMALL_NETWORK,
        "eval.dataset_names": [f"custom:{folder}#train"],
        "eval.dataset_scales": [140.0],  # larger than the loaded images: the frame of the results is theirs
        "eval.scales_of_image_pyramid": [0.8, 1.0],
        "eval.mAP_iou_thresholds": [0.3, 0.5],
        "runtime.num_workers": 0,
        "visualization.eval.path_to_save_detections": "" if saved is None else str(saved),
    }
    config.merge_from_list([part for item in values.items() for part in item])
    return config


def evaluate(config: CfgNode) -> Evaluation:
    torch.manual_seed(0)
    with ConsoleRun(None, seed=0) as run:
        (evaluation,) = evaluate_model(build_os2d(config), build_evaluation_sets(config), config, run).values()
    return evaluation


def plain(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "metrics": dict(evaluation.metrics),
        "image_ids": evaluation.image_ids,
        "boxes": [found.boxes_xyxy.numpy() for found in evaluation.detections],
        "scores": [found.field("scores").numpy() for found in evaluation.detections],
    }


def test_two_processes_evaluate_what_one_does(shelf: Path, tmp_path: Path) -> None:
    alone = plain(evaluate(evaluation_config(shelf)))
    assert alone["metrics"]["recall@0.30"] > 0
    for shared in answers_of_two(SHARED, shelf, tmp_path):
        assert shared["metrics"] == pytest.approx(alone["metrics"], rel=1e-5, nan_ok=True)
        assert shared["image_ids"] == alone["image_ids"]
        for name in ("boxes", "scores"):
            for found, expected in zip(shared[name], alone[name], strict=True):
                torch.testing.assert_close(torch.from_numpy(found), torch.from_numpy(expected))
    assert [path.name for path in tmp_path.glob("*.saved")] == ["0.saved"], "only the first one writes"


def test_saved_detections_are_those_of_the_evaluation_in_the_frame_of_the_loaded_images(
    shelf: Path, tmp_path: Path
) -> None:
    config = evaluation_config(shelf, tmp_path / "saved")
    evaluation = evaluate(config)
    (file,) = (tmp_path / "saved").iterdir()
    (evaluated,) = build_evaluation_sets(config)
    dataset = evaluated.dataset
    assert file.name == f"{dataset.name}_detections.pth"
    saved = torch.load(file, weights_only=True)
    assert list(saved) == [
        *("image_ids", "boxes_xyxy", "labels", "scores"),
        *("gt_boxes_xyxy", "gt_labels", "gt_difficults"),
    ]
    assert saved["image_ids"] == evaluation.image_ids
    assert [saved[name][0].dtype for name in ("labels", "gt_labels", "gt_difficults")] == [
        *(torch.int64, torch.int64, torch.bool)
    ]
    for k, image_id in enumerate(evaluation.image_ids):
        size = dataset.size_of_image(image_id)
        found, truth = evaluation.detections[k], dataset.boxes(image_id)
        torch.testing.assert_close(saved["boxes_xyxy"][k], found.boxes_xyxy)
        torch.testing.assert_close(saved["scores"][k], found.field("scores"))
        torch.testing.assert_close(saved["labels"][k], found.field("labels"))
        torch.testing.assert_close(saved["gt_boxes_xyxy"][k], truth.boxes_xyxy)
        torch.testing.assert_close(saved["gt_labels"][k], truth.field("labels"))
        torch.testing.assert_close(saved["gt_difficults"][k], truth.field("difficult"))
        furthest = saved["boxes_xyxy"][k].max(dim=0).values[2:].tolist()
        assert furthest == pytest.approx([size.w, size.h])  # boxes at the border reach it, at either scale
