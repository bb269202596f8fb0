"""The measures of COCO and CrowdHuman against the golden set."""

import json
from pathlib import Path

import numpy as np
import pytest
from golden_cases import Case, Golden

from baselines.onenet.data.catalog import DatasetSource
from baselines.onenet.data.coco_dataset import CocoDataset
from baselines.onenet.data.coco_file import read_coco
from baselines.onenet.evaluation.coco_ap import SUMMARY, coco_metrics
from baselines.onenet.evaluation.crowdhuman import crowdhuman_metrics
from baselines.onenet.evaluation.results import Results, read_results


@pytest.mark.reads("onenet/coco_eval.npz")
def test_average_precision_of_coco(golden: Golden, tmp_path: Path) -> None:
    case = golden("onenet/coco_eval.npz")
    annotations = [
        {"id": k, "image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": crowd}
        for k, (image, category, box, area, crowd) in enumerate(
            rows(case, "gt_image", "gt_category", "gt_xywh", "gt_area", "gt_iscrowd")
        )
    ]
    dataset = write(tmp_path, case, case.meta["image_ids"], case.meta["category_ids"], annotations)

    metrics = coco_metrics(dataset, write_and_read(tmp_path, results_of(case, case["dt_category"])))

    expected = np.where(case["stats"] < 0, np.nan, case["stats"])
    np.testing.assert_allclose([metrics[name] / 100 for name in SUMMARY], expected, atol=1e-6)
    per_category = [metrics[f"AP/{id}"] for id in case.meta["category_ids"]]
    np.testing.assert_allclose(per_category, case["per_category_AP"], atol=1e-4)


@pytest.mark.reads("onenet/crowdhuman_eval.npz")
def test_measures_of_crowdhuman(golden: Golden, tmp_path: Path) -> None:
    case = golden("onenet/crowdhuman_eval.npz")
    annotations = [
        {"id": k, "image_id": image, "category_id": 1, "bbox": box, "iscrowd": ignore}
        for k, (image, box, ignore) in enumerate(rows(case, "gt_image", "gt_xywh", "gt_ignore"))
    ]
    dataset = write(tmp_path, case, sorted(set(case["gt_image"].tolist())), [1], annotations)

    metrics = crowdhuman_metrics(dataset, results_of(case, np.ones(len(case["dt_score"]), dtype=np.int64)))

    names = ("CrowdHuman/AP", "CrowdHuman/mMR", "CrowdHuman/recall")
    np.testing.assert_allclose([metrics[name] / 100 for name in names], case["AP_mMR_recall"], atol=1e-6)


def rows(case: Case, *names: str) -> zip:
    return zip(*(case[name].tolist() for name in names), strict=True)


def write(folder: Path, case: Case, image_ids: list[int], category_ids: list[int], annotations: list) -> CocoDataset:
    size = {"width": case.meta["width"], "height": case.meta["height"]}
    content = {
        "images": [{"id": id, "file_name": f"{id}.jpg", **size} for id in image_ids],
        "categories": [{"id": id, "name": str(id)} for id in category_ids],
        "annotations": annotations,
    }
    path = folder / "annotations.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return read_coco(DatasetSource("golden", path, folder))


def results_of(case: Case, category_ids: np.ndarray) -> Results:
    boxes, scores = case["dt_xywh"].astype(np.float64), case["dt_score"].astype(np.float64)
    return Results(case["dt_image"], category_ids, boxes, scores)


def write_and_read(folder: Path, results: Results) -> Results:
    results.write(folder / "coco_instances_results.json")
    return read_results(folder / "coco_instances_results.json")
