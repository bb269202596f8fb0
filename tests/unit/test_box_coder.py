import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import nms

from os2d.modeling.anchors import anchor_boxes, crops_around_anchors, decode_boxes, encode_boxes
from os2d.modeling.box_coder import BoxCoder
from os2d.structures.affine import BoxTransform
from os2d.structures.boxes import BoxList, box_iou, clip, has_area
from os2d.structures.sizes import Size

CODER = BoxCoder(anchor_side=56, stride=8)
IMAGE = Size(96, 80)
FM = Size(12, 10)
NUM_LABELS = 4

box_rows = st.tuples(
    st.floats(-20, 90),
    st.floats(-20, 70),
    st.floats(5, 90),
    st.floats(5, 90),
    st.integers(-2, NUM_LABELS),
    st.booleans(),
)


def box_list(rows: list[tuple], size: Size = IMAGE) -> BoxList:
    boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h, *_ in rows], dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor([row[4] for row in rows], dtype=torch.int64)
    difficult = torch.tensor([row[5] for row in rows], dtype=torch.bool)
    return BoxList(boxes, size, {"labels": labels, "difficult": difficult})


def target_of_one_anchor(boxes: Tensor, difficult: Tensor, anchor: Tensor, thresholds: tuple[float, float]) -> tuple:
    """The rule of assignment, one anchor at a time: class target and the box its code refers to."""
    overlaps = box_iou(anchor[None], boxes)[0]
    best = int(overlaps.argmax())
    if overlaps[best] < thresholds[1]:
        return 0, boxes[0]
    if overlaps[best] < thresholds[0] or difficult[best]:
        return -1, boxes[0]
    return 1, boxes[best]


@given(st.lists(box_rows, max_size=8))
def test_encode_follows_the_rule_for_every_anchor_and_label(rows: list[tuple]) -> None:
    gt = box_list(rows)
    loc, cls = CODER.encode(gt, IMAGE, NUM_LABELS, FM)
    anchors = CODER.anchors(FM)
    assert loc.shape == (NUM_LABELS, 4, len(anchors))
    for label in range(NUM_LABELS):
        of_label = gt[gt.field("labels") == label]
        if not len(of_label):
            assert not cls[label].any()
            assert not loc[label].any()
            continue
        for index in range(0, len(anchors), 7):
            boxes, difficult = of_label.boxes_xyxy, of_label.field("difficult")
            target, box = target_of_one_anchor(boxes, difficult, anchors[index], (0.5, 0.1))
            assert cls[label, index] == target
            torch.testing.assert_close(loc[label, :, index], encode_boxes(box, anchors[index]))


def test_an_overlap_that_equals_a_threshold_is_not_below_it() -> None:
    """The first anchor is 56 x 56 px; a half and a quarter of it overlap it by exactly that."""
    coder = BoxCoder(56, 8, positive_iou=0.5, negative_iou=0.25)
    gt = box_list([(-24, -24, 56, 28, 0, False), (-24, -24, 56, 14, 1, False), (-24, -24, 56, 28, 2, True)])
    assert coder.encode(gt, IMAGE, NUM_LABELS, FM)[1][:, 0].tolist() == [1, -1, -1, 0]


def test_of_boxes_that_overlap_an_anchor_alike_the_first_one_decides() -> None:
    left, right = (-24, -24, 28, 56), (4, -24, 28, 56)  # the halves of the first anchor
    for first, second in ((left, right), (right, left)):
        for is_difficult in (False, True):
            gt = box_list([(*first, 0, is_difficult), (*second, 0, not is_difficult)])
            loc, cls = CODER.encode(gt, IMAGE, 1, FM)
            assert cls[0, 0] == (-1 if is_difficult else 1)
            torch.testing.assert_close(loc[0, :, 0], encode_boxes(gt.boxes_xyxy[0], CODER.anchors(FM)[0]))


@given(st.lists(box_rows, min_size=1, max_size=8))
def test_decode_undoes_encode(rows: list[tuple]) -> None:
    boxes = box_list(rows).boxes_xyxy[:, None]
    anchors = CODER.anchors(FM)
    decoded = decode_boxes(encode_boxes(boxes, anchors), anchors)
    torch.testing.assert_close(decoded, boxes.expand_as(decoded), atol=1e-3, rtol=1e-4)


@given(st.lists(st.tuples(*[st.floats(-20, 20)] * 2, *[st.floats(-10, 10)] * 2), min_size=1, max_size=8))
def test_encode_undoes_decode(codes: list[tuple]) -> None:
    codes_N4, anchors = torch.tensor(codes)[:, None], CODER.anchors(FM)
    encoded = encode_boxes(decode_boxes(codes_N4, anchors), anchors)
    torch.testing.assert_close(encoded, codes_N4.expand_as(encoded), atol=2e-3, rtol=1e-4)


def test_decoded_sizes_are_bounded() -> None:
    anchor = torch.tensor([0.0, 0.0, 16.0, 16.0])
    box = decode_boxes(torch.tensor([0.0, 0.0, 1e6, 1e6]), anchor)
    assert box[2] - box[0] == pytest.approx(1000)


@given(st.lists(box_rows, max_size=6))
def test_remapping_undistorted_anchors_is_encoding_with_the_other_thresholds(rows: list[tuple]) -> None:
    gt = box_list(rows)
    codes = torch.zeros(1, NUM_LABELS, 4, FM.w * FM.h)
    remapped = CODER.remap_targets(codes, [gt], FM)
    strict = BoxCoder(56, 8, positive_iou=0.8, negative_iou=0.4)
    assert torch.equal(remapped.targets[0], strict.encode(gt, IMAGE, NUM_LABELS, FM)[1])
    torch.testing.assert_close(remapped.iou_decoded, remapped.iou_anchors, atol=1e-5, rtol=1e-5)


def test_remapping_asks_for_more_overlap_than_encoding() -> None:
    """The boxes are the first anchor, three quarters of it and a quarter of it."""
    gt = box_list([(-24, -24, 56, height, label, False) for label, height in enumerate((56, 42, 14))])
    remapped = CODER.remap_targets(torch.zeros(1, NUM_LABELS, 4, FM.w * FM.h), [gt], FM)
    assert remapped.targets[0, :, 0].tolist() == [1, -1, 0, 0]
    assert CODER.encode(gt, IMAGE, NUM_LABELS, FM)[1][:, 0].tolist() == [1, 1, -1, 0]


def test_remapping_codes_that_are_not_numbers_gives_negatives() -> None:
    gt = box_list([(0, 0, 50, 50, 1, False)])
    remapped = CODER.remap_targets(torch.full((1, 2, 4, FM.w * FM.h), math.nan), [gt], FM)
    assert not remapped.targets.any()


def test_boxes_of_another_frame_need_a_transform() -> None:
    gt = box_list([(3, 5, 101, 97, 1, False)], size=Size(192, 160))
    with pytest.raises(ValueError, match="to_box_frame"):
        CODER.encode(gt, IMAGE, 2, FM)
    halved = CODER.encode(gt.resized(IMAGE), IMAGE, 2, FM)
    mapped = CODER.encode(gt, IMAGE, 2, FM, BoxTransform.between(IMAGE, gt.size))
    assert torch.equal(mapped[1], halved[1])
    torch.testing.assert_close(mapped[0], halved[0])


def test_anchors_are_cached_and_centred_on_cells() -> None:
    anchors = CODER.anchors(FM)
    assert CODER.anchors(FM) is anchors
    assert anchors[0].tolist() == [-24.0, -24.0, 32.0, 32.0]
    assert anchors[1].tolist() == [-16.0, -24.0, 40.0, 32.0]


def test_anchors_first_made_in_inference_can_be_trained_with() -> None:
    with torch.inference_mode():
        anchors = anchor_boxes(Size(3, 1), 11.0, 8, torch.device("cpu"))
    codes = torch.zeros(3, 4, requires_grad=True)
    decode_boxes(codes, anchors).sum().backward()
    assert codes.grad is not None


def decode(class_scores: Tensor, **changes: object) -> BoxList:
    settings = {
        "loc_scores": [torch.zeros(len(class_scores), 4, FM.w * FM.h)],
        "class_scores": [class_scores],
        "corners": None,
        "image_sizes": [IMAGE],
        "fm_sizes": [FM],
        "class_ids": torch.arange(len(class_scores)),
        "score_threshold": 0.5,
        "nms_iou": 0.3,
        "to_original": None,
        "original_size": IMAGE,
    }
    return CODER.decode_pyramid(**{**settings, **changes})


def test_nothing_above_the_threshold_gives_an_empty_list_with_all_fields() -> None:
    corners = [torch.zeros(2, 8, FM.w * FM.h)]
    detections = decode(torch.full((2, FM.w * FM.h), 0.5), corners=corners)
    assert len(detections) == 0
    assert set(detections.fields) == {"scores", "labels", "default_boxes", "transform_corners"}
    assert detections.field("transform_corners").shape == (0, 8)
    assert detections.field("labels").dtype == torch.int64


def test_targets_and_detections_are_computed_without_gradients() -> None:
    gt = box_list([(-24, -24, 56, 56, 0, False)])
    codes = torch.zeros(1, 1, 4, FM.w * FM.h, requires_grad=True)
    remapped = CODER.remap_targets(codes, [gt], FM)
    scores = torch.ones(1, FM.w * FM.h, requires_grad=True)
    found = decode(scores, loc_scores=[codes[0]])
    results = [remapped.iou_decoded, found.boxes_xyxy, found.field("scores")]
    assert not any(result.requires_grad for result in results)


def test_levels_and_images_without_counterparts_are_refused() -> None:
    gt, codes = box_list([(0, 0, 50, 50, 1, False)]), torch.zeros(2, 2, 4, FM.w * FM.h)
    with pytest.raises(ValueError, match="zip"):
        CODER.encode_pyramid(gt, [IMAGE, IMAGE], 2, [FM], [None])
    with pytest.raises(ValueError, match="zip"):
        CODER.remap_targets(codes, [gt], FM)
    with pytest.raises(ValueError, match="zip"):
        decode(torch.zeros(2, FM.w * FM.h), fm_sizes=[FM, FM])


def test_views_of_one_class_suppress_each_other_and_classes_do_not() -> None:
    scores = torch.zeros(3, FM.w * FM.h)
    scores[:, 40] = torch.tensor([0.7, 0.9, 0.8])
    detections = decode(scores, class_ids=torch.tensor([7, 3, 7]))
    assert detections.field("labels").tolist() == [3, 7]
    torch.testing.assert_close(detections.field("scores"), torch.tensor([0.9, 0.8]))
    across = decode(scores, class_ids=torch.tensor([7, 3, 7]), nms_across_classes=True)
    assert across.field("labels").tolist() == [3]


def test_detections_are_mapped_to_the_original_image_after_clipping() -> None:
    scores = torch.zeros(1, FM.w * FM.h)
    scores[0, 0] = 1.0
    original = Size(192, 160)
    detections = decode(scores, to_original=[BoxTransform.between(IMAGE, original)], original_size=original)
    assert detections.boxes_xyxy.tolist() == [[0.0, 0.0, 64.0, 64.0]]
    assert detections.field("default_boxes").tolist() == [[-48.0, -48.0, 64.0, 64.0]]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), threshold=st.sampled_from([float("-inf"), 0.4]))
def test_detections_are_those_of_plain_suppression_class_by_class(seed: int, threshold: float) -> None:
    """For two levels, class ids far apart and a class with two rows."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.tensor([10**12 + 1, 7, 10**12, 7])
    sizes = [(IMAGE, FM), (Size(48, 32), Size(6, 4))]
    codes = [torch.randn(len(ids), 4, fm.w * fm.h, generator=generator) * 4 for _, fm in sizes]
    scores = [torch.rand(len(ids), fm.w * fm.h, generator=generator) for _, fm in sizes]
    to_original = [BoxTransform.between(image, IMAGE) for image, _ in sizes]
    found = CODER.decode_pyramid(
        codes, scores, None, [s for s, _ in sizes], [fm for _, fm in sizes], ids, threshold, 0.3, to_original, IMAGE
    )
    assert found.field("labels").tolist() == sorted(found.field("labels").tolist())
    for class_id in ids.unique().tolist():
        boxes, values = [], []
        for row in (ids == class_id).nonzero().squeeze(1).tolist():
            for (image, fm), loc, of_level, transform in zip(sizes, codes, scores, to_original, strict=True):
                box = clip(decode_boxes(loc[row].T, CODER.anchors(fm)), image)
                keep = has_area(box) & (of_level[row] > threshold)
                boxes.append(transform.apply(box[keep]))
                values.append(of_level[row][keep])
        kept = nms(torch.cat(boxes), torch.cat(values), 0.3)
        of_class = found[found.field("labels") == class_id]
        torch.testing.assert_close(of_class.boxes_xyxy, torch.cat(boxes)[kept], rtol=0, atol=0)
        torch.testing.assert_close(of_class.field("scores"), torch.cat(values)[kept], rtol=0, atol=0)


@given(st.integers(20, 400), st.integers(20, 400), st.integers(2, 20), st.integers(2, 20))
def test_crops_around_anchors_start_on_cells_and_stay_inside_images_that_hold_them(
    width: int, height: int, crop_cells_x: int, crop_cells_y: int
) -> None:
    image, crop = Size(width, height), Size(crop_cells_x * 8, crop_cells_y * 8)
    anchors = CODER.anchors(Size(-(-width // 8), -(-height // 8)))
    left, top, right, bottom = crops_around_anchors(anchors, image, crop, 8).unbind(1)
    assert not (left % 8).any()
    assert not (top % 8).any()
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (right - left == crop.w).all()
    assert (bottom - top == crop.h).all()
    assert (right <= max(image.w, crop.w)).all()
    assert (bottom <= max(image.h, crop.h)).all()
