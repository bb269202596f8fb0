from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import Case, Golden
from os2d_inputs import fill_os2d
from tiny_dataset import TINY_DATASET, config_of, evaluated_dataset

from os2d.console import ConsoleRun
from os2d.data.eval_loader import build_eval_loader, load_class_images
from os2d.engine.detection import make_class_heads, match_in_chunks
from os2d.engine.evaluation import Evaluation, EvaluationSet, evaluate_model
from os2d.modeling.network import build_os2d
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

VARIANTS = ("plain", "horflip", "rotation90", "across_classes_threshold", "v1_horflip_rotation90")


def evaluate(case: Case, data_root: Path) -> Evaluation:
    config = config_of(case)
    model = build_os2d(config)
    fill_os2d(model)
    dataset = evaluated_dataset(data_root, case)
    with ConsoleRun(None, seed=0) as run:
        results = evaluate_model(model, [EvaluationSet(dataset, case.meta["eval_scale"])], config, run)
    return results[dataset.name]


def expected_lists(case: Case, kind: str, counts: str) -> list[np.ndarray]:
    return np.split(case[kind], np.cumsum(case[counts])[:-1])


def unmatched(found: BoxList, boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> int:
    """How many detections of either side have no partner of the same class, score and box."""
    same_label = found.field("labels").numpy()[:, None] == labels[None]
    same_score = np.abs(found.field("scores").numpy()[:, None] - scores[None]) <= 1e-4
    same_box = np.abs(found.boxes_xyxy.numpy()[:, None] - boxes[None]).max(axis=-1, initial=0) <= 0.1
    partners = same_label & same_score & same_box
    return int((~partners.any(axis=1)).sum() + (~partners.any(axis=0)).sum())


@pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=pytest.mark.reads(f"os2d/evaluate_{v}.npz", TINY_DATASET)) for v in VARIANTS],
)
def test_evaluation(variant: str, golden: Golden) -> None:
    case = golden(f"os2d/evaluate_{variant}.npz")
    result = evaluate(case, golden.path(TINY_DATASET))

    assert result.image_ids == case["image_ids"].tolist()
    names = ("boxes_xyxy", "labels", "scores")
    images = zip(*(expected_lists(case, name, "detections_per_image") for name in names), strict=True)
    wrong = sum(unmatched(found, *arrays) for found, arrays in zip(result.detections, images, strict=True))
    total = len(case["boxes_xyxy"])
    assert wrong <= 0.02 * 2 * total, f"{wrong} of {total} detections have no partner"

    truth = result.ground_truth
    np.testing.assert_allclose(torch.cat([gt.boxes_xyxy for gt in truth]), case["gt_boxes_xyxy"], atol=0.1)
    np.testing.assert_array_equal(torch.cat([gt.field("labels") for gt in truth]), case["gt_labels"])
    np.testing.assert_array_equal(torch.cat([gt.field("difficult") for gt in truth]), case["gt_difficults"])

    for name in case.meta["metrics"]:
        is_voc = "@" in name
        tolerance = {"rtol": 0, "atol": 1e-6} if is_voc else {"rtol": 1e-4, "atol": 1e-9}
        if is_voc and wrong:
            tolerance["atol"] = 0.05  # a flipped near-tie moves a metric of a few boxes
        np.testing.assert_allclose(result.metrics[name], case[f"metric/{name}"], **tolerance, err_msg=name)


@pytest.mark.reads("os2d/evaluate_plain.npz", TINY_DATASET)
def test_inputs_and_raw_scores(golden: Golden) -> None:
    case = golden("os2d/evaluate_plain.npz")
    config = config_of(case)
    dataset = evaluated_dataset(golden.path(TINY_DATASET), case)
    debug = {name.removeprefix("debug/"): values for name, values in case.items() if name.startswith("debug/")}

    views = [(class_id, images[0]) for class_id, images in load_class_images(dataset, config)]
    assert [class_id for class_id, _ in views] == debug["class_ids"].tolist()
    np.testing.assert_array_equal([image.shape[1:] for _, image in views], debug["class_image_hw"])
    np.testing.assert_allclose([float(image.mean()) for _, image in views], debug["class_image_mean"], atol=1e-4)
    np.testing.assert_allclose([float(image.std()) for _, image in views], debug["class_image_std"], atol=1e-4)

    shown = {int(name.split("/")[0].removeprefix("image")) for name in debug if "/class_scores_" in name}
    model = build_os2d(config)
    fill_os2d(model)
    heads = make_class_heads(model, dataset, config, torch.device("cpu"))
    for batch in build_eval_loader(dataset, config, case.meta["eval_scale"]):
        for i, image_id in enumerate(batch.image_ids):
            prefix = f"image{image_id}"
            assert batch.loaded_size == Size(*debug[f"{prefix}/loaded_hw"][::-1].tolist())
            np.testing.assert_array_equal([(s.h, s.w) for s in batch.level_sizes], debug[f"{prefix}/level_hw"])
            means = [float(level[i].mean()) for level in batch.levels]
            np.testing.assert_allclose(means, debug[f"{prefix}/level_mean"], atol=1e-4)
            np.testing.assert_allclose(
                [float(level[i].std()) for level in batch.levels], debug[f"{prefix}/level_std"], atol=1e-4
            )
            if image_id in shown:
                (matched,) = match_in_chunks(model, batch.levels, heads, memory_mb=1e4)
                for p, level in enumerate(matched.levels):
                    scores, codes = debug[f"{prefix}/class_scores_{p}"], debug[f"{prefix}/loc_scores_{p}"]
                    np.testing.assert_allclose(level.class_scores[i], scores, atol=1e-4)
                    np.testing.assert_allclose(level.loc_scores[i], codes, atol=1e-3)
