import numpy as np
import pytest
import torch
from golden_cases import Case, Golden

from baselines.detector_retrieval.detector.anchors import AnchorGenerator, inside
from baselines.detector_retrieval.detector.box_head import BoxHead, Pooler
from baselines.detector_retrieval.detector.config import default_config
from baselines.detector_retrieval.detector.images import resized_size
from baselines.detector_retrieval.detector.postprocess import DetectionFilter, class_boxes
from baselines.detector_retrieval.detector.rpn import CODER, ProposalSelector, Rpn, by_anchor, labels_of
from baselines.detector_retrieval.detector.schedule import Schedule
from baselines.detector_retrieval.detector.structures import Objects
from os2d.structures.sizes import Size

ANCHORS = "baselines/det_anchors.npz"
CODER_CASE = "baselines/det_box_coder.npz"
POOLER = "baselines/det_pooler.npz"
PROPOSALS = "baselines/det_rpn_postprocess.npz"
POSTPROCESS = "baselines/det_box_postprocess.npz"
TARGETS = "baselines/det_targets.npz"
SCHEDULE = "baselines/det_schedule_resize.npz"

MODEL = default_config().MODEL


def generator_of() -> AnchorGenerator:
    return AnchorGenerator(MODEL.RPN.ANCHOR_SIZES, MODEL.RPN.ANCHOR_STRIDE, MODEL.RPN.ASPECT_RATIOS)


def grids_of(case: Case) -> list[Size]:
    return [Size(w=int(width), h=int(height)) for height, width in case["grid_sizes"]]


@pytest.mark.reads(ANCHORS)
def test_anchors(golden: Golden) -> None:
    case = golden(ANCHORS)
    generator, strides = generator_of(), case["strides"]
    cells = torch.stack(list(generator.cell_anchors.buffers()))
    np.testing.assert_array_equal(cells.numpy(), case["cell_anchors"])
    height, width = case["grid_sizes"][0] * strides[0]
    for level, anchors in enumerate(generator(grids_of(case))):
        ends = torch.cat([anchors[:7], anchors[-7:]])
        np.testing.assert_array_equal(ends.numpy(), case[f"first_last_{level}"])
        assert int(inside(anchors, Size(w=int(width), h=int(height)), 0).sum()) == case["num_visible"][level]


@pytest.mark.reads(CODER_CASE)
@pytest.mark.parametrize(("beta", "name"), [(1 / 9, "l1_beta_1_9_sum"), (1.0, "l1_beta_1_sum")])
def test_losses_of_codes(golden: Golden, beta: float, name: str) -> None:
    case = golden(CODER_CASE)
    predicted, target = torch.from_numpy(case["l1_pred"]), torch.from_numpy(case["l1_target"])
    loss = torch.nn.functional.smooth_l1_loss(predicted, target, beta=beta, reduction="sum")
    np.testing.assert_allclose(loss, case[name], rtol=1e-4)


@pytest.mark.reads(POOLER)
def test_pooled_proposals(golden: Golden) -> None:
    case = golden(POOLER)
    levels = [torch.from_numpy(case[f"feat_{level}"]) for level in range(4)]
    boxes = torch.from_numpy(case["boxes"])
    pooler = Pooler(case["pooled"].shape[-1], MODEL.ROI_BOX_HEAD.POOLER_SCALES, 2)
    np.testing.assert_array_equal(pooler.level_of(boxes).numpy(), case["levels"])
    np.testing.assert_allclose(pooler(levels, [boxes]).numpy(), case["pooled"], rtol=1e-4, atol=1e-5)


@pytest.mark.reads(PROPOSALS)
def test_proposals(golden: Golden) -> None:
    case = golden(PROPOSALS)
    maps = [[torch.from_numpy(case[f"{name}_{n}"]) for name in ("objectness", "regression")] for n in range(5)]
    before, after, altogether = (int(case[f"{name}_top_n"]) for name in ("pre_nms", "post_nms", "fpn_post_nms"))
    selector = ProposalSelector(before, after, altogether, MODEL.RPN.NMS_THRESH)
    height, width = case["image_hw"]
    levels = [by_anchor(logits, codes) for logits, codes in maps]
    [found] = selector.of_each_image(levels, generator_of()(grids_of(case)), [Size(w=int(width), h=int(height))])
    np.testing.assert_allclose(found.scores_N.numpy(), case["objectness"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.boxes_N4.numpy(), case["boxes"], rtol=1e-4, atol=1e-3)


@pytest.mark.reads(POSTPROCESS)
def test_detections(golden: Golden) -> None:
    case = golden(POSTPROCESS)
    size = Size(*case["image_wh"].tolist())
    logits, codes = torch.from_numpy(case["logits"]), torch.from_numpy(case["regression"]).unflatten(1, (-1, 4))
    coder = head(logits.shape[1]).coder
    found = class_boxes(coder, logits, codes, torch.from_numpy(case["proposals"]), size)
    keep = DetectionFilter(float(case["score_thresh"]), float(case["nms"]), int(case["max_detections"]))
    detections = keep(found.boxes_NC4, found.scores_NC)
    np.testing.assert_array_equal(detections.labels_N.numpy(), case["labels"])
    np.testing.assert_allclose(detections.scores_N.numpy(), case["scores"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(detections.boxes_N4.numpy(), case["boxes"], rtol=1e-4, atol=1e-3)


def head(num_classes: int) -> BoxHead:
    with torch.device("meta"):
        return BoxHead(MODEL, num_classes)


@pytest.mark.reads(TARGETS)
def test_targets_of_proposals(golden: Golden) -> None:
    case = golden(TARGETS)
    gt = torch.from_numpy(case["gt"])
    labels, codes = head(2).targets(
        torch.from_numpy(case["proposals"]), Objects(gt, torch.ones(len(gt), dtype=torch.int64))
    )
    np.testing.assert_array_equal(labels.numpy(), case["head_labels"])
    np.testing.assert_allclose(codes.numpy(), case["head_targets"], rtol=1e-4, atol=1e-4)


@pytest.mark.reads(TARGETS)
def test_targets_of_anchors(golden: Golden) -> None:
    case = golden(TARGETS)
    size, gt = Size(*case["image_wh"].tolist()), torch.from_numpy(case["gt"])
    anchors = torch.cat(generator_of()([size.in_cells(stride) for stride in MODEL.RPN.ANCHOR_STRIDE]))
    matches = Rpn(MODEL).match(anchors, gt, size)
    np.testing.assert_array_equal(labels_of(matches).numpy(), case["rpn_labels"])
    positives = (matches >= 0).nonzero().squeeze(1)
    np.testing.assert_array_equal(positives.numpy(), case["rpn_positive_indices"])
    codes = CODER.encode(gt[matches[positives]], anchors[positives])
    np.testing.assert_allclose(codes.numpy(), case["rpn_positive_targets"], rtol=1e-4, atol=1e-5)


@pytest.mark.reads(SCHEDULE)
def test_learning_rates(golden: Golden) -> None:
    case = golden(SCHEDULE)
    solver = default_config().SOLVER
    solver.STEPS, solver.ASSUMED_GPUS = case["milestones"].tolist(), 1
    schedule = Schedule.from_config(solver, processes=1)
    rates = [float(case["base_lr"]) * schedule.factor(count) for count in range(len(case["f64_lr_at_epoch_counter"]))]
    np.testing.assert_allclose(rates, case["f64_lr_at_epoch_counter"], rtol=1e-6)


@pytest.mark.reads(SCHEDULE)
def test_sizes_of_resized_images(golden: Golden) -> None:
    rows = golden(SCHEDULE)["resize_min_max_w_h_outh_outw"].tolist()
    sizes = [resized_size(Size(w, h), short, longest) for short, longest, w, h, _, _ in rows]
    assert sizes == [Size(w=out_w, h=out_h) for *_, out_h, out_w in rows]
