"""Evaluation of OneNet on tiny data sets: the measures by hand, the files, and processes that share the work."""

import json
import multiprocessing
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.onenet import convert_crowdhuman_to_coco, crowdhuman_eval
from baselines.onenet.data.catalog import DatasetSource
from baselines.onenet.data.coco_dataset import CocoDataset
from baselines.onenet.data.coco_file import read_coco
from baselines.onenet.evaluation.coco_ap import coco_metrics, measure
from baselines.onenet.evaluation.crowdhuman import crowdhuman_metrics
from baselines.onenet.evaluation.evaluate import PREDICTIONS_FILE, RESULTS_FILE, evaluate
from baselines.onenet.evaluation.results import Results, read_results
from baselines.onenet.modeling.model import build_model
from baselines.onenet.structures import Detections
from os2d.distributed import process_group
from os2d.errors import DataError
from tests.unit.onenet_dataset import annotation, config_for, write_coco

CLASSES = {4: "cat", 9: "dog"}


def dataset_of(folder: Path, annotations: list[dict[str, Any]], images: int = 2) -> CocoDataset:
    return read_coco(write_coco(folder, dict.fromkeys(range(1, images + 1), (100, 80)), annotations, CLASSES))


def results(*rows: tuple[int, int, list[float], float]) -> Results:
    ids, categories, boxes, scores = zip(*rows, strict=True)
    return Results(np.array(ids), np.array(categories), np.array(boxes, dtype=np.float64), np.array(scores))


def test_coco_numbers_of_a_case_by_hand(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, [annotation(0, 1, 4, [10, 10, 40, 40]), annotation(1, 2, 4, [0, 0, 50, 40])])
    metrics = coco_metrics(dataset, results((1, 4, [10, 10, 40, 40], 0.9), (2, 4, [50, 40, 50, 40], 0.8)))
    assert metrics["AP"] == pytest.approx(100 * 51 / 101)  # recall 0.5 at precision 1: 51 of 101 points
    assert metrics["AP/cat"] == metrics["AP"] == metrics["AP50"]
    assert np.isnan(metrics["AP/dog"])
    assert np.isnan(metrics["APl"])


def test_the_curve_is_of_the_classes_that_have_something_to_find(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, [annotation(0, 1, 4, [10, 10, 40, 40]), annotation(1, 2, 4, [0, 0, 50, 40])])
    curve = measure(dataset, results((1, 4, [10, 10, 40, 40], 0.9), (2, 4, [50, 40, 50, 40], 0.8))).curve
    assert curve.precision.tolist() == pytest.approx([1.0] * 51 + [0.0] * 50)
    assert curve.average_precision == pytest.approx(51 / 101)


def test_without_detections_everything_is_missed(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, [annotation(1, 1, 4, [10, 10, 40, 40])])
    nothing = Results.concatenated([])
    assert coco_metrics(dataset, nothing)["AP"] == 0
    assert crowdhuman_metrics(dataset, nothing)["CrowdHuman/mMR"] == 100


def test_crowdhuman_numbers_of_a_case_by_hand(tmp_path: Path) -> None:
    dataset = dataset_of(
        tmp_path,
        [
            annotation(1, 1, 4, [0, 0, 20, 20]),
            annotation(2, 1, 4, [40, 0, 20, 20]),
            annotation(3, 1, 4, [60, 40, 40, 40], iscrowd=1),
        ],
    )
    found = results(
        (1, 4, [0, 0, 20, 20], 0.95),  # true
        (1, 4, [70, 50, 10, 10], 0.85),  # ignored
        (2, 4, [0, 0, 20, 20], 0.75),  # false
        (1, 4, [41, 0, 20, 20], 0.65),  # true
    )
    metrics = crowdhuman_metrics(dataset, found)
    assert metrics["CrowdHuman/recall"] == 100
    # precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1: the trapezoid between the last two
    assert metrics["CrowdHuman/AP"] == pytest.approx(100 * 0.5 * (1 / 2 + 2 / 3) / 2)
    assert metrics["CrowdHuman/mMR"] == 0  # half a false box per image comes after the last true one
    # image 1 alone counts above 0.8: 1 of 2 pairs; from 0.7 on image 2 holds a false box; from 0.6 on all is found
    assert metrics["CrowdHuman/JI"] == pytest.approx(50)
    with pytest.raises(DataError, match="has no image 3"):
        crowdhuman_metrics(dataset, results((3, 4, [0, 0, 20, 20], 0.9)))


def test_results_keep_ids_boxes_and_scores(tmp_path: Path) -> None:
    def found(*boxes: list[float]) -> Detections:
        count = len(boxes)
        return Detections(
            torch.tensor(boxes).reshape(-1, 4), torch.linspace(0.5, 0.25, count), torch.ones(count).long()
        )

    parts = [
        Results.of([found([1, 2, 4, 8])], [30], [4, 9]),
        Results.of([found(), found([0, 0, 5, 5])], [10, 20], [4, 9]),
    ]
    merged = Results.concatenated(parts)
    assert merged.image_ids_N.tolist() == [20, 30]
    assert merged.category_ids_N.tolist() == [9, 9]
    assert merged.boxes_xywh_N4.tolist() == [[0, 0, 5, 5], [1, 2, 3, 6]]
    merged.write(tmp_path / "results.json")
    assert read_results(tmp_path / "results.json").entries() == merged.entries()
    (tmp_path / "results.json").write_text('[{"image_id": 1}]', encoding="utf-8")
    with pytest.raises(DataError, match=r"results.json: is not a results file \(KeyError: 'bbox'\)"):
        read_results(tmp_path / "results.json")


def _evaluate(folder: Path, output: Path | None) -> dict[str, float]:
    config = config_for(DatasetSource("tiny", folder / "annotations.json", folder / "images"), classes=2)
    config.MODEL.RESNETS.DEPTH, config.MODEL.RESNETS.RES2_OUT_CHANNELS, config.MODEL.RESNETS.NORM = 18, 64, "BN"
    config.MODEL.OneNet.DECONV_CHANNEL, config.MODEL.OneNet.DCN = [512, 32, 16, 16], False
    config.INPUT.MIN_SIZE_TEST, config.TEST.DETECTIONS_PER_IMAGE = 32, 20
    model = build_model(config).train()
    with torch.no_grad():
        model.state_dict()["head.ltrb_pred.bias"].add_(8)
    metrics = evaluate(model, config, "tiny", output)
    assert model.training
    return metrics


def _evaluate_as(rank: int, port: int, folder: Path, output: Path) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with process_group(is_cuda=False):
        metrics = _evaluate(folder, output)
    (output / f"rank{rank}.json").write_text(json.dumps(metrics), encoding="utf-8")


@pytest.mark.usefixtures("one_thread")
def test_processes_share_an_evaluation(tmp_path: Path) -> None:
    annotations = [annotation(k, k, 4 if k % 2 else 9, [10, 10, 30, 30]) for k in (1, 2, 3)]
    dataset_of(tmp_path / "data", annotations, images=3)
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    shared.mkdir()

    metrics = _evaluate(tmp_path / "data", alone)
    assert len(json.loads((alone / "precision_recall/tiny.json").read_text())["curves"]["mean_over_classes"]) == 2
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=_evaluate_as, args=(r, port, tmp_path / "data", shared)) for r in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(300)

    assert [process.exitcode for process in ranks] == [0, 0]
    of_ranks = [json.loads((shared / f"rank{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]
    assert of_ranks[0] == pytest.approx(metrics, nan_ok=True)
    assert of_ranks[1] == pytest.approx(metrics, nan_ok=True)
    of_both = [
        json.loads((folder / "inference" / RESULTS_FILE).read_text(encoding="utf-8")) for folder in (alone, shared)
    ]
    assert [e["image_id"] for e in of_both[0]] == [e["image_id"] for e in of_both[1]]
    assert {e["image_id"] for e in of_both[0]} == {1, 2, 3}
    predictions = torch.load(alone / "inference" / PREDICTIONS_FILE, weights_only=True)
    assert [p["image_id"] for p in predictions] == [1, 2, 3]
    assert [e for p in predictions for e in p["instances"]] == of_both[0]


def test_crowdhuman_from_published_annotations_to_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "CrowdHuman_val").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "CrowdHuman_val" / "a,1.jpg")
    boxes = [
        {"tag": "person", "fbox": [-5, 2, 30, 30], "vbox": [0, 2, 20, 20], "extra": {"box_id": 0}},
        {"tag": "mask", "fbox": [40, 0, 20, 20], "vbox": [40, 0, 20, 20], "extra": {"ignore": 1}},
    ]
    odgt = tmp_path / "annotation_val.odgt"
    odgt.write_text(json.dumps({"ID": "a,1", "gtboxes": boxes}) + "\n", encoding="utf-8")

    assert convert_crowdhuman_to_coco.main(["--root", str(tmp_path), "--splits", "val"]) == 0

    written = tmp_path / "annotations" / "val.json"
    content = json.loads(written.read_text(encoding="utf-8"))
    assert content["images"] == [{"file_name": "a,1.jpg", "id": 1, "height": 40, "width": 60}]
    assert content["categories"] == [{"id": 1, "name": "person"}]
    assert content["annotations"][0] == {
        **{"id": 1, "category_id": 1, "image_id": 1, "bbox_vis": [0, 2, 20, 20]},
        **{"bbox": [-5, 2, 30, 30], "area": 900, "iscrowd": 0},
    }
    assert (content["annotations"][1]["id"], content["annotations"][1]["iscrowd"]) == (2, 1)

    results((1, 1, [0, 2, 25, 30], 0.9)).write(tmp_path / "results.json")
    assert crowdhuman_eval.main(["--result", str(tmp_path / "results.json"), "--gt", str(written)]) == 0
    assert "CrowdHuman/recall: 100.00" in capsys.readouterr().out

    odgt.write_text('{"ID": "a,1", "gtboxes": [{"vbox": []}]}\n', encoding="utf-8")
    assert convert_crowdhuman_to_coco.main(["--root", str(tmp_path), "--splits", "val"]) == 2
    assert "annotation_val.odgt, line 1: expected ID and gtboxes" in capsys.readouterr().err
