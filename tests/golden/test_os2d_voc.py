import numpy as np
import pytest
import torch
from golden_cases import Case, Golden

from os2d.engine.average_precision import VocResult, evaluate_detections
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size


def boxes_per_image(case: Case, kind: str, fields: dict[str, str]) -> list[BoxList]:
    lists = []
    for image in range(case.meta["num_images"]):
        of_image = case[f"{kind}_image"] == image
        values = {name: torch.from_numpy(case[f"{kind}_{array}"][of_image]) for name, array in fields.items()}
        size = Size(*case[f"{kind}_frame_wh"][image].tolist())
        lists.append(BoxList(torch.from_numpy(case[f"{kind}_boxes"][of_image]), size, values))
    return lists


def by_class_id(result: VocResult, values: np.ndarray, length: int, missing: float) -> np.ndarray:
    array = np.full(length, missing)
    array[result.class_ids] = values
    return array


@pytest.mark.reads("os2d/voc_evaluation.npz")
def test_voc_protocol(golden: Golden) -> None:
    case = golden("os2d/voc_evaluation.npz")
    detections = boxes_per_image(case, "pred", {"scores": "scores", "labels": "labels"})
    ground_truth = boxes_per_image(case, "gt", {"labels": "labels", "difficult": "difficult"})
    variants = sorted({name.partition("/")[0] for name in case if "/" in name})
    assert variants
    for variant in variants:
        threshold, use_07_metric = float(variant[3:7]), variant.endswith("_071")
        result = evaluate_detections(detections, ground_truth, [threshold], use_07_metric)[threshold]
        expected = {name.partition("/")[2]: case[name] for name in case if name.startswith(variant + "/")}
        length = len(expected["n_pos"])
        actual = {
            "map": result.mean_ap,
            "map_weighted": result.weighted_mean_ap,
            "recall": result.recall,
            "ap_joint_classes": result.ap_joint_classes,
            "ap_per_class": by_class_id(result, result.ap_per_class, length, np.nan),
            "recall_per_class": by_class_id(result, result.recall_per_class, length, np.nan),
            "n_pos": by_class_id(result, result.positives_per_class, length, 0),
        }
        assert actual.keys() == expected.keys()
        for name, value in actual.items():
            reference = np.nan_to_num(expected[name]) if name == "n_pos" else expected[name]
            np.testing.assert_allclose(value, reference, rtol=0, atol=1e-9, err_msg=f"{variant}/{name}")
