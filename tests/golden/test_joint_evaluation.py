"""The joint evaluation on the toy data sets, with stored boxes in place of the detector."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fill import fill_state_dict
from golden_cases import Case, Golden
from PIL import Image
from torch import Tensor
from yacs.config import CfgNode

from baselines.detector_retrieval.detector.structures import Proposals
from baselines.detector_retrieval.joint.config import default_config
from baselines.detector_retrieval.joint.evaluation import Retriever, evaluate_dataset
from baselines.detector_retrieval.joint.images import JointImages, pixels_of, to_pixels
from baselines.detector_retrieval.joint.matching import ClassDescriptors, Suppression, detections
from baselines.detector_retrieval.joint.patches import VIEWS, views_of_class_image
from baselines.detector_retrieval.joint.proposals import merge, propose
from baselines.detector_retrieval.retrieval.network import NetworkDescription, build_network
from baselines.detector_retrieval.retrieval.whitening import Whitening
from os2d.console import ConsoleRun
from os2d.data.dataset import DatasetOneShotDetection
from os2d.engine.average_precision import evaluate_detections
from os2d.engine.evaluation import EvaluationSet, voc_metrics
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

WITH_NETWORK = ("full", "whitening_ss")
NOMINAL = 160


class StoredBoxes:
    """Answers with the boxes of the case, image after image and in each level after level, once or repeatedly."""

    def __init__(self, case: Case, levels: int) -> None:
        images = range(len(case["image_ids"]))
        names = [f"im{image}_level{level}" for image in images for level in range(levels)]
        self.answers = [(case[f"det_boxes_{name}"], case[f"det_scores_{name}"]) for name in names]
        self.shapes: list[tuple[int, ...]] = []

    def propose(self, images_3hw: Sequence[Tensor]) -> list[Proposals]:
        assert len(images_3hw) == 1
        boxes, scores = self.answers[len(self.shapes) % len(self.answers)]
        self.shapes.append((1, *images_3hw[0].shape))
        return [Proposals(torch.from_numpy(boxes), torch.from_numpy(scores))]


def toy_dataset(case: Case, folder: Path) -> DatasetOneShotDetection:
    image_ids, class_ids = case["image_ids"].tolist(), case["class_ids"].tolist()
    for k, image_id in enumerate(image_ids):
        Image.fromarray(case[f"image_{k}"]).save(folder / f"{image_id}.png")
    for k, class_id in enumerate(class_ids):
        Image.fromarray(case[f"class_image_{k}"]).save(folder / f"class{class_id}.png")
    rows = [
        {
            "imageid": int(image_id),
            "imagefilename": f"{int(image_id)}.png",
            "classid": int(class_id),
            "classfilename": f"class{int(class_id)}.png",
            "gtbboxid": number,
            "difficult": int(difficult),
            **dict(zip(("lx", "ty", "rx", "by"), box, strict=True)),
        }
        for number, (image_id, class_id, difficult, *box) in enumerate(case["f64_gt"].tolist())
    ]
    files = [f"{image_id}.png" for image_id in image_ids]
    frame = pd.DataFrame(rows)
    return DatasetOneShotDetection(
        frame, folder, folder, "toy", NOMINAL, eval_scale=NOMINAL, image_ids=image_ids, image_file_names=files
    )


def config_of(case: Case) -> CfgNode:
    config = default_config()
    values = {
        "is_cuda": False,
        "runtime.num_workers": 0,
        "eval.scales_of_image_pyramid": case["f64_pyramid_scales"].tolist(),
        "eval.nms_iou_threshold": float(case["final_nms_iou"]),
        "eval.class_image_augmentation": str(case["class_image_augmentation"]),
        "joint.nms_iou_threshold": float(case["detector_nms_iou"]),
        "joint.nms_score_threshold": float(case["detector_score_threshold"]),
    }
    config.merge_from_list([part for key, value in values.items() for part in (key, value)])
    return config


def whitening_of(case: Case) -> Whitening | None:
    if "lw_P" not in case:
        return None
    return Whitening.of_content({"m": torch.from_numpy(case["lw_m"]), "P": torch.from_numpy(case["lw_P"])})


def retriever_of(case: Case) -> Retriever:
    network = build_network(NetworkDescription("resnet18"))
    fill_state_dict(network)
    with torch.no_grad():
        network.pool.p.fill_(float(case["gem_p"]))
        for name, factor in json.loads(str(case["param_scales"])).items():
            network.get_parameter(name).mul_(factor)
    return Retriever(network, int(case["retrieval_image_size"]), bool(case["multiscale"]), whitening_of(case))


def check_detections(found: BoxList, case: Case, image: int) -> None:
    np.testing.assert_array_equal(found.field("labels"), case[f"final_labels_im{image}"])
    np.testing.assert_allclose(found.field("scores"), case[f"final_scores_im{image}"], atol=1e-3)
    near = np.abs(found.boxes_xyxy.numpy()[:, None] - case[f"final_boxes_im{image}"][None]).max(axis=2) < 0.1
    same = found.field("labels").numpy()[:, None] == case[f"final_labels_im{image}"][None]
    close = np.abs(found.field("scores").numpy()[:, None] - case[f"final_scores_im{image}"][None]) < 1e-3
    partners = near & same & close
    assert partners.any(axis=1).mean() > 0.98
    assert partners.any(axis=0).mean() > 0.98


def check_metrics(metrics: dict[str, float], case: Case) -> None:
    expected = {name.removeprefix("f64_"): value for name, value in case.items() if "@" in name}
    assert expected
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "variant", [pytest.param(v, marks=pytest.mark.reads(f"baselines/joint_eval_{v}.npz")) for v in WITH_NETWORK]
)
@torch.no_grad()
def test_evaluation_with_a_network(variant: str, golden: Golden, tmp_path: Path) -> None:
    case = golden(f"baselines/joint_eval_{variant}.npz")
    dataset, config, retriever = toy_dataset(case, tmp_path), config_of(case), retriever_of(case)
    images = JointImages(dataset, config, NOMINAL)
    stored = StoredBoxes(case, len(images.scales))

    with ConsoleRun(None, seed=0) as run:
        result = evaluate_dataset(stored, retriever, EvaluationSet(dataset, NOMINAL), config, run)

    shapes = case["pyramid_image_shapes"]
    np.testing.assert_array_equal(stored.shapes, shapes)
    assert result.image_ids == case["image_ids"].tolist()
    for k, found in enumerate(result.detections):
        check_detections(found, case, k)
    check_metrics(dict(result.metrics), case)

    assert dataset.class_ids == case["class_ids_order"].tolist()
    pictures = [pixels_of(dataset.class_image(class_id)) for class_id in dataset.class_ids]
    kind = config.eval.class_image_augmentation
    views = [view for p in pictures for view in views_of_class_image(p, retriever.image_size, kind)]
    np.testing.assert_allclose(retriever.describe(views).T, case["query_vectors"], rtol=1e-3, atol=1e-5)
    for k in range(len(images)):
        batch = images[k]
        (proposals,) = propose(stored, batch.levels, Size.of_tensor(batch.images))
        merged = merge(proposals, config.joint.nms_iou_threshold, config.joint.nms_score_threshold)
        check_merged(merged, case, k)
        _, vectors = retriever.describe_boxes(to_pixels(batch.images[0]), merged)
        np.testing.assert_allclose(vectors.T, case[f"patch_vectors_im{k}"], rtol=1e-3, atol=1e-5)


def check_merged(merged: BoxList, case: Case, image: int) -> None:
    np.testing.assert_allclose(merged.field("scores"), case[f"kept_scores_im{image}"], atol=1e-6)
    np.testing.assert_allclose(merged.boxes_xyxy, case[f"kept_boxes_im{image}"], rtol=1e-4, atol=1e-3)


@pytest.mark.reads("baselines/joint_eval_postprocess.npz")
def test_box_logic(golden: Golden, tmp_path: Path) -> None:
    case = golden("baselines/joint_eval_postprocess.npz")
    dataset, config, whitening = toy_dataset(case, tmp_path), config_of(case), whitening_of(case)
    images = JointImages(dataset, config, NOMINAL)
    stored = StoredBoxes(case, len(images.scales))
    assert whitening is not None
    views = len(VIEWS[config.eval.class_image_augmentation])
    of_views = whitening(torch.from_numpy(case["query_vectors"]).T)
    classes = ClassDescriptors(torch.tensor(dataset.class_ids), of_views.view(len(dataset.class_ids), views, -1))
    suppression = Suppression(config.eval.nms_iou_threshold, config.eval.nms_score_threshold)
    found, truth = [], []
    for k in range(len(images)):
        batch = images[k]
        (proposals,) = propose(stored, batch.levels, Size.of_tensor(batch.images))
        merged = merge(proposals, config.joint.nms_iou_threshold, config.joint.nms_score_threshold)
        check_merged(merged, case, k)
        scores = classes.scores(whitening(torch.from_numpy(case[f"patch_vectors_im{k}"]).T))
        found.append(detections(merged, scores, classes.class_ids, suppression))
        truth += batch.boxes
        check_detections(found[-1], case, k)
    check_metrics(dict(voc_metrics(evaluate_detections(found, truth, [0.5]))), case)
