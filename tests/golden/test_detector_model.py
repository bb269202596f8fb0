import json
from functools import cache

import numpy as np
import pytest
import torch
from coae_inputs import matched_share
from fill import fill_state_dict
from golden_cases import Case, Golden
from PIL import Image

from baselines.detector_retrieval.detector.config import default_config
from baselines.detector_retrieval.detector.detection import detect, seen_in, views_of
from baselines.detector_retrieval.detector.images import pixels_of
from baselines.detector_retrieval.detector.model import Detector, build_detector
from baselines.detector_retrieval.detector.structures import Objects
from os2d.structures.boxes import BoxList

KEYS = "baselines/det_r50fpn_noclasses_state_dict.json"
EVAL = "baselines/det_e2e_eval.npz"
TRAIN = "baselines/det_e2e_train.npz"
AUGMENTED = "baselines/det_bbox_aug.npz"

FPN_STEP = (128, 64, 64, 64, 64)
"""Every how many channels of a level the cases keep."""


@cache
def filled_detector(param_scales: str) -> Detector:
    detector = build_detector(default_config()).eval()
    anchors = detector.rpn.anchor_generator.state_dict()
    anchors = {name: tensor.clone() for name, tensor in anchors.items()}
    fill_state_dict(detector)
    detector.rpn.anchor_generator.load_state_dict(anchors)
    with torch.no_grad():
        for name, factor in json.loads(param_scales).items():
            detector.state_dict()[name].mul_(factor)
    return detector


def detector_of(case: Case) -> Detector:
    return filled_detector(str(case["param_scales"]))


def scored(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes, scores[:, None]], axis=1)


def assert_same_detections(found: BoxList, case: Case) -> None:
    assert len(found) == len(case["scores"])
    assert found.field("labels").tolist() == case["labels"].tolist()
    ours = scored(found.boxes_xyxy.numpy(), found.field("scores").numpy())
    assert matched_share(ours, scored(case["boxes"], case["scores"])) >= 0.98


@pytest.mark.reads(KEYS)
def test_names_and_shapes_are_those_of_published_checkpoints(golden: Golden) -> None:
    state = build_detector(default_config()).state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == golden.json(KEYS)


@pytest.mark.reads(EVAL)
def test_levels_proposals_and_detections(golden: Golden) -> None:
    case = golden(EVAL)
    detector = detector_of(case)
    batch = detector.to_batch([pixels_of(torch.from_numpy(case["image_u8"]))])
    assert list(batch.images_B3HW.shape) == case["padded_shape"].tolist()
    with torch.no_grad():
        levels = detector.backbone(batch.images_B3HW)
        outputs, anchors = detector.rpn(levels)
        [proposals] = detector.rpn.test_selector.of_each_image(outputs, anchors, batch.sizes)
        logits, codes = detector.box_head(levels, [torch.from_numpy(case["proposals"])])
        [found] = detector(batch)
    for number, (level, step) in enumerate(zip(levels, FPN_STEP, strict=True)):
        np.testing.assert_allclose(level[:, ::step].numpy(), case[f"fpn_{number}"], rtol=1e-3, atol=1e-4)
    ours = scored(proposals.boxes_N4.numpy(), proposals.scores_N.numpy())
    assert matched_share(ours, scored(case["proposals"], case["objectness"])) >= 0.98
    np.testing.assert_allclose(logits.numpy(), case["class_logits"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(codes.flatten(1).numpy(), case["regression"], rtol=1e-3, atol=1e-4)
    fields = {"scores": found.scores_N, "labels": found.labels_N}
    assert_same_detections(BoxList(found.boxes_N4, batch.sizes[0], fields), case)


@pytest.mark.reads(TRAIN)
def test_losses_and_gradients(golden: Golden) -> None:
    case = golden(TRAIN)
    detector = detector_of(case).train()
    images = [pixels_of(image) for image in torch.from_numpy(case["images_u8"])]
    objects = [Objects(boxes, torch.ones(len(boxes), dtype=torch.int64)) for boxes in torch.from_numpy(case["gt"])]
    generator = torch.Generator().manual_seed(int(case["torch_seed"]))
    losses = detector.losses(detector.to_batch(images), objects, generator)
    for name, loss in losses.items():
        np.testing.assert_allclose(loss.item(), case[name], rtol=1e-3, atol=1e-4, err_msg=name)
    total = torch.stack(list(losses.values())).sum()
    parameters = dict(detector.named_parameters())
    assert {name for name, p in parameters.items() if p.requires_grad} == set(json.loads(str(case["trainable_names"])))
    watched = json.loads(str(case["grad_norm_names"]))
    norms = [gradient.norm() for gradient in torch.autograd.grad(total, [parameters[name] for name in watched])]
    np.testing.assert_allclose(norms, case["grad_norms"], rtol=1e-3, atol=1e-4)


@pytest.mark.reads(AUGMENTED)
def test_detections_of_several_sizes_are_merged(golden: Golden) -> None:
    case = golden(AUGMENTED)
    config = default_config()
    config.INPUT.MIN_SIZE_TEST, config.INPUT.MAX_SIZE_TEST = int(case["min_size_test"]), int(case["max_size_test"])
    config.TEST.BBOX_AUG.ENABLED, config.TEST.BBOX_AUG.SCALES = True, case["scales"].tolist()
    views = views_of(config)
    found = detect(detector_of(case).eval(), seen_in(Image.fromarray(case["image_u8"]), views), views)
    assert list(found.size) == case["size_wh"].tolist()
    assert_same_detections(found, case)
