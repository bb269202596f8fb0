import json
from pathlib import Path

import numpy as np
import pytest
import torch
from coae_inputs import dataset_in, filled_network, matched_share
from golden_cases import Case, Golden
from PIL import Image

from baselines.coae.config import default_config
from baselines.coae.data.eval_images import EvalImages, query_views
from baselines.coae.data.records import Records
from baselines.coae.engine.detection import DetectionRule, detections_of_class, to_image
from baselines.coae.engine.evaluation import evaluate_dataset, searched_classes
from baselines.coae.modeling.model import Scored
from os2d.console import ConsoleRun
from os2d.data.dataset import DatasetOneShotDetection
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size


def rows(found: BoxList) -> np.ndarray:
    return torch.cat([found.boxes_xyxy, found.field("scores")[:, None]], dim=1).numpy()


@pytest.mark.reads("baselines/coae_postprocess.npz")
def test_scored_proposals_become_detections(golden: Golden) -> None:
    case = golden("baselines/coae_postprocess.npz")
    rule = DetectionRule.from_config(default_config())
    boxes, scores = [], []
    for k, factor in enumerate(case["f64_scales"].tolist()):
        scored = Scored(
            torch.from_numpy(case[f"rois_{k}"][:, :, 1:]),
            torch.from_numpy(case[f"scores_{k}"][:, :, 0]),
            torch.from_numpy(case[f"deltas_{k}"]),
            torch.zeros(1),
        )
        boxes.append(to_image(scored, torch.from_numpy(case[f"im_info_{k}"][:, :2]), factor, rule.delta_stds)[0])
        scores.append(scored.scores_BP[0])

    unlimited = DetectionRule(rule.delta_stds, 0.0, rule.iou_threshold, 10**6, 1)
    for limits, name in ((unlimited, "after_nms"), (rule, "final")):
        found = rows(detections_of_class(torch.cat(boxes), torch.cat(scores), 1, Size(10, 10), limits))
        np.testing.assert_allclose(found, case[name], rtol=1e-4, atol=1e-3)


def toy_dataset(case: Case, folder: Path) -> DatasetOneShotDetection:
    images = [case[f"image_{k}"] for k in range(sum(name.startswith("image_") for name in case))]
    for k, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{k}.png")
    for k, class_id in enumerate(case["class_ids"].tolist()):
        Image.fromarray(case[f"class_image_{k}"]).save(folder / f"class{class_id}.png")
    truth = case["f64_gt"]
    sizes = np.array([images[i].shape[1::-1] * 2 for i in truth[:, 0].astype(int)])
    return dataset_in(folder, np.concatenate([truth[:, :3], truth[:, 3:] / sizes], axis=1))


@pytest.mark.slow
@pytest.mark.reads("baselines/coae_protocol.npz")
def test_the_whole_protocol(golden: Golden, tmp_path: Path) -> None:
    case = golden("baselines/coae_protocol.npz")
    config = default_config()
    config.is_cuda = False
    config.model.query_size = int(case["query_size"])
    config.eval.scales = case["test_scales"].tolist()
    config.eval.class_image_augmentation = "rotation90" if case["rotation90"] else ""
    config.runtime.num_workers = 0
    records = Records(toy_dataset(case, tmp_path))
    assert ["__background__", *map(str, records.class_ids)] == json.loads(str(case["class_order"]))
    pairs = [
        (image, number)
        for image, record in enumerate(records.images)
        for number in searched_classes(record, len(records.class_ids), config.eval.searched_classes)
    ]
    assert pairs == list(zip(*case["pairs_image_class"].tolist(), strict=True))
    images = EvalImages(records, config.eval.scales)
    for k, (image, number) in enumerate(pairs):
        sample = images[image]
        assert list(sample.levels[0].shape) == case[f"sample{k}_shape"].tolist()
        info = [*sample.levels[0].shape[1:], sample.factors[0]]
        np.testing.assert_allclose(info, case[f"sample{k}_im_info"], rtol=1e-6)
        query = query_views(records.class_image(number), config.model.query_size, "")[0]
        np.testing.assert_allclose(query.numpy(), case[f"sample{k}_query"], atol=1 / 255 / 0.22)

    with ConsoleRun(None, seed=0) as run:
        evaluation = evaluate_dataset(filled_network(case), records, config, run)

    found = 0
    for image, number in pairs:
        of_image = evaluation.detections[image]
        of_class = of_image[of_image.field("labels") == records.class_ids[number - 1]]
        expected = case[f"dets_class{number}_image{image}"]
        assert matched_share(rows(of_class), expected) >= 0.98
        assert abs(len(of_class) - len(expected)) <= 1
        found += len(of_class)
    assert found == sum(map(len, evaluation.detections))
    for name, metric in (("f64_map", "mAP"), ("f64_map_weighted", "mAPw"), ("f64_recall", "recall")):
        assert evaluation.metrics[f"{metric}@0.50"] == pytest.approx(float(case[name]), abs=0.02)
