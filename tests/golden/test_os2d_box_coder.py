import numpy as np
import pytest
import torch
from golden_cases import Case, Golden

from os2d.modeling.anchors import decode_boxes
from os2d.modeling.box_coder import BoxCoder
from os2d.structures.affine import BoxTransform
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

SIDE, STRIDE = 240, 16
TARGETS = "os2d/box_coder_targets.npz"
DECODE = "os2d/box_coder_decode_pyramid.npz"


def fm_size_of(image_size: Size) -> Size:
    return image_size.in_cells(STRIDE)


def box_coder_of(case: Case) -> BoxCoder:
    return BoxCoder(SIDE, STRIDE, *case.meta["thresholds"])


def ground_truth(case: Case, index: int, boxes_name: str, size: Size) -> BoxList:
    fields = {
        "labels": torch.from_numpy(case[f"gt{index}/labels"]),
        "difficult": torch.from_numpy(case[f"gt{index}/difficult"]),
    }
    return BoxList(torch.from_numpy(case[boxes_name]), size, fields)


def assert_targets(loc: torch.Tensor, cls: torch.Tensor, case: Case, loc_name: str, cls_name: str) -> None:
    np.testing.assert_array_equal(cls.numpy(), case[cls_name])
    np.testing.assert_allclose(loc.numpy(), case[loc_name], atol=1e-4, rtol=0)


@pytest.mark.reads(TARGETS)
def test_encode(golden: Golden) -> None:
    case = golden(TARGETS)
    size = Size(*case.meta["image_wh"])
    for index in (0, 1):
        gt = ground_truth(case, index, f"gt{index}/boxes", size)
        loc, cls = box_coder_of(case).encode(gt, size, case.meta["num_labels"], fm_size_of(size))
        assert_targets(loc, cls, case, f"encode{index}/loc_targets", f"encode{index}/cls_targets")


@pytest.mark.reads(TARGETS)
def test_encode_pyramid(golden: Golden) -> None:
    case = golden(TARGETS)
    frame = Size(*case["pyramid/frame_wh"].tolist())
    levels = [Size(*wh) for wh in case["pyramid/levels_wh"].tolist()]
    gt = ground_truth(case, 0, "pyramid/gt_boxes", frame)
    loc_levels, cls_levels = box_coder_of(case).encode_pyramid(
        gt,
        levels,
        case.meta["num_labels"],
        [fm_size_of(size) for size in levels],
        [BoxTransform.between(size, frame) for size in levels],
    )
    for level, (loc, cls) in enumerate(zip(loc_levels, cls_levels, strict=True)):
        assert_targets(loc, cls, case, f"pyramid/loc_targets_{level}", f"pyramid/cls_targets_{level}")


@pytest.mark.reads(TARGETS)
def test_anchors_and_decoded_boxes(golden: Golden) -> None:
    case = golden(TARGETS)
    anchors = box_coder_of(case).anchors(fm_size_of(Size(*case.meta["image_wh"])))
    np.testing.assert_array_equal(anchors[::7].numpy(), case["anchors"])
    boxes = decode_boxes(torch.from_numpy(case["decode/codes"]), anchors)
    np.testing.assert_allclose(boxes.numpy(), case["decode/boxes"], rtol=1e-5, atol=1e-3)


@pytest.mark.reads(TARGETS)
def test_remapped_targets(golden: Golden) -> None:
    case = golden(TARGETS)
    size = Size(*case.meta["image_wh"])
    gts = [ground_truth(case, index, f"gt{index}/boxes", size) for index in (0, 1)]
    loc_scores = torch.from_numpy(case["remap/loc_scores"]).float()
    remapped = box_coder_of(case).remap_targets(loc_scores, gts, fm_size_of(size))
    np.testing.assert_array_equal(remapped.targets.numpy(), case["remap/cls_targets"])
    np.testing.assert_allclose(remapped.iou_anchors.numpy(), case["remap/iou_anchor"], atol=1e-5)
    np.testing.assert_allclose(remapped.iou_decoded.numpy(), case["remap/iou_corrected"], atol=1e-5)


@pytest.mark.reads(TARGETS)
def test_remapped_targets_in_another_frame(golden: Golden) -> None:
    case = golden(TARGETS)
    size, frame = Size(*case.meta["image_wh"]), Size(*case["pyramid/frame_wh"].tolist())
    gt = ground_truth(case, 0, "pyramid/gt_boxes", frame)
    loc_scores = torch.from_numpy(case["remap/loc_scores"][:1]).float()
    transform = BoxTransform.between(size, frame)
    remapped = box_coder_of(case).remap_targets(loc_scores, [gt], fm_size_of(size), [transform])
    np.testing.assert_array_equal(remapped.targets.numpy(), case["remap_reverse/cls_targets"])
    np.testing.assert_allclose(remapped.iou_decoded.numpy(), case["remap_reverse/iou_corrected"], atol=1e-5)


@pytest.mark.reads(DECODE)
def test_decode_pyramid(golden: Golden) -> None:
    case = golden(DECODE)
    assert case.meta["variants"]
    for name, settings in case.meta["variants"].items():
        detections = decode_variant(case, with_corners=f"{name}/corners" in case, **named(case, settings))
        assert detections.size == Size(*case[f"{name}/frame_wh"].tolist())
        labels, scores = case[f"{name}/labels"], case[f"{name}/scores"]
        expected = np.lexsort((-scores, labels))
        ours = np.lexsort((-detections.field("scores").numpy(), detections.field("labels").numpy()))
        np.testing.assert_array_equal(detections.field("labels").numpy()[ours], labels[expected], err_msg=name)
        np.testing.assert_array_equal(detections.field("scores").numpy()[ours], scores[expected])
        pairs = {"boxes": detections.boxes_xyxy, "default_boxes": detections.field("default_boxes")}
        if f"{name}/corners" in case:
            pairs["corners"] = detections.field("transform_corners")
        for field, values in pairs.items():
            np.testing.assert_allclose(values.numpy()[ours], case[f"{name}/{field}"][expected], atol=0.01)
        if settings[0]:
            np.testing.assert_array_equal(detections.field("scores").numpy(), scores)


def named(case: Case, settings: list) -> dict:
    across, threshold, iou, both_levels = settings
    assert case.meta["variant_fields"] == [
        "nms_across_classes",
        "score_threshold",
        "nms_iou",
        "two levels with transform",
    ]
    return {"across": across, "threshold": float(threshold), "iou": iou, "both_levels": both_levels}


def decode_variant(
    case: Case, *, with_corners: bool, across: bool, threshold: float, iou: float, both_levels: bool
) -> BoxList:
    levels = [Size(*wh) for wh in case["levels_wh"].tolist()][: 2 if both_levels else 1]
    original = Size(*case["original_wh"].tolist()) if both_levels else levels[0]

    def per_level(name: str) -> list[torch.Tensor]:
        return [torch.from_numpy(case[f"{name}_{level}"]).float() for level in range(len(levels))]

    return BoxCoder(SIDE, STRIDE).decode_pyramid(
        per_level("loc_scores"),
        per_level("class_scores"),
        per_level("corners") if with_corners else None,
        levels,
        [fm_size_of(size) for size in levels],
        torch.from_numpy(case["class_ids"]),
        score_threshold=threshold,
        nms_iou=iou,
        to_original=[BoxTransform.between(size, original) for size in levels] if both_levels else None,
        original_size=original,
        nms_across_classes=across,
    )
