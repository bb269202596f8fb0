"""What holds for all boxes: overlap, clipping, maps between frames, codes, anchors, crops and suppression.

Coordinates are multiples of 1/8 px, and scales powers of two: float32 computes with them exactly, so that most of what
is said here is said without a tolerance. "Counted" boxes are those of the baselines that count pixels: such a box from
x1 to x2 is x2 - x1 + 1 wide.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines import legacy_boxes
from baselines.coae.modeling.rpn import clip_to_sizes
from baselines.legacy_boxes import LegacyBoxCoder, suppress_legacy
from baselines.onenet.modeling.overlap import generalised_iou
from os2d.data.augment import CropBox, Flips, crop_boxes
from os2d.engine.average_precision import _inclusive_iou
from os2d.modeling.anchors import anchor_boxes, crops_around_anchors, decode_boxes, encode_boxes
from os2d.structures import suppression
from os2d.structures.affine import BoxTransform
from os2d.structures.boxes import BoxList, box_intersection, box_iou, clip, has_area, paired_iou
from os2d.structures.sizes import Size
from os2d.structures.suppression import suppress, suppress_runs

GRID = 8

places = st.integers(-60 * GRID, 60 * GRID).map(lambda n: n / GRID)
lengths = st.integers(1, 60 * GRID).map(lambda n: n / GRID)
boxes = st.builds(lambda x, y, w, h: [x, y, x + w, y + h], places, places, lengths, lengths)
references = boxes.filter(
    lambda box: min(box[2] - box[0], box[3] - box[1]) >= 1
)  # decoded ones are up to 62.5 as large
some_boxes = st.lists(boxes, min_size=1, max_size=6).map(torch.tensor)
scales = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0])
mirroring_scales = scales | scales.map(lambda scale: -scale)
maps = st.builds(BoxTransform, mirroring_scales, mirroring_scales, places, places)
sizes = st.builds(Size, st.integers(1, 100), st.integers(1, 100))

LONGER = torch.tensor([0.0, 0.0, 1.0, 1.0])
"""Added to a counted box, it gives the plain box of the same pixels."""


def inclusive_iou(first: Tensor, second: Tensor) -> Tensor:
    pairs = (first[:, None].expand(-1, len(second), -1), second.expand(len(first), -1, -1))
    parallel = _inclusive_iou(*(side.reshape(-1, 4).numpy().astype(np.float32) for side in pairs))
    return torch.from_numpy(parallel).reshape(len(first), len(second))


def every_pair(first: Tensor, second: Tensor) -> Tensor:
    return paired_iou(first[:, None], second)


def generalised(first: Tensor, second: Tensor) -> Tensor:
    return generalised_iou(first[:, None].unbind(-1), second.unbind(-1))


PLAIN = [box_iou, every_pair]
COUNTED = [legacy_boxes.iou, inclusive_iou]

Overlap = Callable[[Tensor, Tensor], Tensor]


@pytest.mark.parametrize("iou", [*PLAIN, *COUNTED])
@given(first=some_boxes, second=some_boxes)
def test_overlap_is_symmetric_one_with_itself_and_between_zero_and_one(
    iou: Overlap, first: Tensor, second: Tensor
) -> None:
    overlap = iou(first, second)
    assert torch.equal(overlap, iou(second, first).T)
    assert ((overlap >= 0) & (overlap <= 1)).all()
    assert (iou(first, first).diagonal() == 1).all()
    assert ((overlap == 1) == (first[:, None] == second).all(dim=-1)).all()


@pytest.mark.parametrize("iou", [*PLAIN, *COUNTED, generalised])
@given(first=some_boxes, second=some_boxes, x=places, y=places)
def test_overlap_does_not_depend_on_where_both_boxes_are(
    iou: Overlap, first: Tensor, second: Tensor, x: float, y: float
) -> None:
    move = BoxTransform(shift_x=x, shift_y=y).apply
    assert torch.equal(iou(move(first), move(second)), iou(first, second))


@pytest.mark.parametrize("iou", [*PLAIN, generalised])
@given(first=some_boxes, second=some_boxes, frame=maps)
def test_overlap_of_plain_boxes_does_not_depend_on_scale_and_mirroring(
    iou: Overlap, first: Tensor, second: Tensor, frame: BoxTransform
) -> None:
    assert torch.equal(iou(frame.apply(first), frame.apply(second)), iou(first, second))


@pytest.mark.parametrize("iou", COUNTED)
@given(first=some_boxes, second=some_boxes)
def test_overlap_of_counted_boxes_is_the_plain_one_of_boxes_a_pixel_longer(
    iou: Overlap, first: Tensor, second: Tensor
) -> None:
    assert torch.equal(iou(first, second), box_iou(first + LONGER, second + LONGER))


@given(first=some_boxes, second=some_boxes)
def test_generalised_overlap_is_at_most_the_plain_one_and_equal_where_boxes_fill_their_hull(
    first: Tensor, second: Tensor
) -> None:
    general, plain = generalised(first, second), box_iou(first, second)
    assert torch.equal(general, generalised(second, first).T)
    assert ((general <= plain) & (general >= -1)).all()
    assert (generalised(first, first).diagonal() == 1).all()
    assert (general[plain == 0] <= 0).all()


@given(first=some_boxes, second=some_boxes)
def test_what_two_boxes_share_is_the_area_of_the_first_one_cut_to_the_second(first: Tensor, second: Tensor) -> None:
    shared = box_intersection(first, second)
    for column, (x1, y1, x2, y2) in enumerate(second.tolist()):
        to_corner = BoxTransform.crop(x1, y1)
        scaled = BoxTransform(GRID, GRID)  # whole numbers, as a size must be
        inside = to_corner.then(scaled).apply(first)
        cut = clip(inside, Size(int((x2 - x1) * GRID), int((y2 - y1) * GRID)))
        area = (cut[:, 2:] - cut[:, :2]).prod(dim=1) / GRID**2
        assert torch.equal(area, shared[:, column])
        assert torch.equal(has_area(cut), shared[:, column] > 0)


@pytest.mark.parametrize(("cut", "last_pixel"), [(clip, 0), (legacy_boxes.clip, 1)])
@given(boxes_N4=some_boxes, size=sizes)
def test_clipped_boxes_lie_in_the_image_and_those_that_did_stay(
    cut: Callable[[Tensor, Size], Tensor], last_pixel: int, boxes_N4: Tensor, size: Size
) -> None:
    limits = torch.tensor([size.w, size.h, size.w, size.h]) - last_pixel
    clipped = cut(boxes_N4, size)
    assert ((clipped >= 0) & (clipped <= limits)).all()
    assert torch.equal(cut(clipped, size), clipped)
    inside = (boxes_N4 >= 0) & (boxes_N4 <= limits)
    assert torch.equal(clipped[inside], boxes_N4[inside])
    assert torch.equal(legacy_boxes.clip(boxes_N4, size), clip_to_sizes(boxes_N4[None], torch.tensor([size[::-1]]))[0])


@given(boxes_N4=some_boxes, size=sizes, scale=st.sampled_from([1, 2, 4]), across=st.booleans(), down=st.booleans())
def test_cutting_to_an_image_and_then_mirroring_or_enlarging_it_is_the_other_order(
    boxes_N4: Tensor, size: Size, scale: int, across: bool, down: bool
) -> None:
    larger = Size(size.w * scale, size.h * scale)
    frame = BoxTransform.between(size, larger).then(Flips(across, down).transform(larger))
    assert torch.equal(frame.apply(clip(boxes_N4, size)), clip(frame.apply(boxes_N4), larger))


@given(boxes_N4=some_boxes, frame=maps)
def test_every_map_between_frames_is_undone_exactly_by_its_inverse(boxes_N4: Tensor, frame: BoxTransform) -> None:
    back = frame.inverse()
    assert torch.equal(back.apply(frame.apply(boxes_N4)), boxes_N4)
    assert torch.equal(frame.then(back).apply(boxes_N4), boxes_N4)
    corners = boxes_N4[:, [0, 1, 2, 1, 2, 3, 0, 3]]
    assert torch.equal(back.apply_corners(frame.apply_corners(corners)), corners)
    mapped = frame.apply_corners(corners).view(-1, 4, 2)
    hull = torch.cat([mapped.amin(dim=1), mapped.amax(dim=1)], dim=1)
    assert torch.equal(hull, frame.apply(boxes_N4))


@given(boxes_N4=some_boxes, first=maps, second=maps, third=maps)
def test_maps_between_frames_may_be_joined_in_any_grouping(
    boxes_N4: Tensor, first: BoxTransform, second: BoxTransform, third: BoxTransform
) -> None:
    one_by_one = third.apply(second.apply(first.apply(boxes_N4)))
    assert torch.equal(first.then(second).then(third).apply(boxes_N4), one_by_one)
    assert torch.equal(first.then(second.then(third)).apply(boxes_N4), one_by_one)


@given(boxes_N4=some_boxes, size=sizes, across=st.booleans(), down=st.booleans())
def test_mirroring_twice_changes_nothing(boxes_N4: Tensor, size: Size, across: bool, down: bool) -> None:
    flip = Flips(across, down).transform(size)
    assert torch.equal(flip.apply(flip.apply(boxes_N4)), boxes_N4)


@given(boxes_N4=some_boxes, size=sizes, scale=st.sampled_from([1, 2, 4]))
def test_a_list_of_boxes_is_resized_as_the_map_between_the_sizes_does(boxes_N4: Tensor, size: Size, scale: int) -> None:
    larger, numbers = Size(size.w * scale, size.h * 2), torch.arange(len(boxes_N4))
    resized = BoxList(boxes_N4, size, {"numbers": numbers}).resized(larger)
    assert torch.equal(resized.boxes_xyxy, BoxTransform.between(size, larger).apply(boxes_N4))
    assert torch.equal(resized.resized(size).boxes_xyxy, boxes_N4)
    assert torch.equal(resized.field("numbers"), numbers)


@given(boxes_N4=some_boxes, crop=boxes)
def test_boxes_in_a_crop_are_those_of_the_image_and_labelled_by_what_the_crop_shows(
    boxes_N4: Tensor, crop: list[float]
) -> None:
    left, top, right, bottom = (int(side) for side in crop)
    frame = CropBox(left, top, right + 1, bottom + 1)
    labels, difficult = torch.arange(len(boxes_N4)), torch.zeros(len(boxes_N4), dtype=torch.bool)
    cropped = crop_boxes(BoxList(boxes_N4, Size(100, 100), {"labels": labels, "difficult": difficult}), frame)
    assert torch.equal(BoxTransform.crop(left, top).inverse().apply(cropped.boxes_xyxy), boxes_N4)
    shown = clip(cropped.boxes_xyxy, cropped.size)
    share = (shown[:, 2:] - shown[:, :2]).prod(dim=1) / (boxes_N4[:, 2:] - boxes_N4[:, :2]).prod(dim=1)
    assert torch.equal(cropped.field("labels") >= 0, share >= 0.3)
    assert torch.equal(cropped.field("difficult"), share < 0.7)


WEIGHTS = [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)]
close = partial(torch.testing.assert_close, atol=1e-4, rtol=1e-5)


@given(boxes_N4=some_boxes, reference=references)
def test_decoding_undoes_encoding_relative_to_any_box(boxes_N4: Tensor, reference: list[float]) -> None:
    anchor = torch.tensor(reference)
    close(decode_boxes(encode_boxes(boxes_N4, anchor), anchor), boxes_N4)
    for weights in WEIGHTS:
        inverse = LegacyBoxCoder(weights)
        close(inverse.decode(inverse.encode(boxes_N4, anchor), anchor), boxes_N4)
        longer = LegacyBoxCoder(weights, last_pixel=0.0)
        close(longer.decode(longer.encode(boxes_N4, anchor), anchor), boxes_N4 + LONGER)


@given(boxes_N4=some_boxes, reference=references)
def test_codes_of_counted_boxes_are_the_plain_ones_of_boxes_a_pixel_longer(
    boxes_N4: Tensor, reference: list[float]
) -> None:
    anchor = torch.tensor(reference)
    counted = LegacyBoxCoder((10.0, 10.0, 5.0, 5.0)).encode(boxes_N4, anchor)
    close(counted, encode_boxes(boxes_N4 + LONGER, anchor + LONGER))


@given(boxes_N4=some_boxes, reference=references, scale=scales, x=places, y=places)
def test_codes_do_not_depend_on_the_frame(
    boxes_N4: Tensor, reference: list[float], scale: float, x: float, y: float
) -> None:
    frame, anchor = BoxTransform(scale, scale, x, y), torch.tensor(reference)
    assert torch.equal(encode_boxes(frame.apply(boxes_N4), frame.apply(anchor)), encode_boxes(boxes_N4, anchor))


@given(fm_size=st.builds(Size, st.integers(1, 12), st.integers(1, 12)), side=lengths, stride=st.sampled_from([8, 16]))
def test_anchors_are_squares_of_one_side_centred_on_the_cells_row_by_row(
    fm_size: Size, side: float, stride: int
) -> None:
    anchors = anchor_boxes(fm_size, side, stride, torch.device("cpu"))
    assert anchors.shape == (fm_size.w * fm_size.h, 4)
    assert (anchors[:, 2:] - anchors[:, :2] == side).all()
    cells = ((anchors[:, :2] + side / 2) / stride).floor().long()
    assert cells.tolist() == [[x, y] for y in range(fm_size.h) for x in range(fm_size.w)]
    turned = anchor_boxes(Size(fm_size.h, fm_size.w), side, stride, torch.device("cpu"))
    as_grid = turned.view(fm_size.w, fm_size.h, 4).transpose(0, 1)[..., [1, 0, 3, 2]]
    assert torch.equal(as_grid.reshape(-1, 4), anchors)


@given(size=st.builds(Size, st.integers(1, 200), st.integers(1, 200)), stride=st.sampled_from([8, 16]))
def test_every_pixel_belongs_to_exactly_one_cell(size: Size, stride: int) -> None:
    cells = size.in_cells(stride)
    assert (cells.w - 1) * stride < size.w <= cells.w * stride
    assert (cells.h - 1) * stride < size.h <= cells.h * stride


@given(
    cells=st.builds(Size, st.integers(1, 30), st.integers(1, 30)),
    crop_cells=st.builds(Size, st.integers(1, 20), st.integers(1, 20)),
)
def test_a_crop_of_whole_cells_has_its_anchor_in_the_middle_as_far_as_the_image_goes(
    cells: Size, crop_cells: Size
) -> None:
    """The feature map of the crop is then a window of the one of the image, and the anchor is one of its cells."""
    stride = 8
    image, crop = Size(cells.w * stride, cells.h * stride), Size(crop_cells.w * stride, crop_cells.h * stride)
    crops = crops_around_anchors(anchor_boxes(cells, 20.0, stride, torch.device("cpu")), image, crop, stride)
    for axis, (count, window) in enumerate(zip(cells, crop_cells, strict=True)):
        number = (
            torch.arange(cells.w).repeat(cells.h) if axis == 0 else torch.arange(cells.h).repeat_interleave(cells.w)
        )
        first = crops[:, axis] / stride
        assert torch.equal(first, first.floor())
        assert torch.equal(first, (number - window // 2).clamp(min=0).clamp(max=max(count - window, 0)).float())
        if window <= count:
            assert ((first <= number) & (number < first + window)).all()


ranked_boxes = st.lists(boxes, min_size=1, max_size=24).flatmap(
    lambda found: st.tuples(st.just(torch.tensor(found)), st.permutations(range(len(found))).map(torch.tensor))
)
thresholds = st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.75, 1.0])


@pytest.fixture(params=["few", "many"])
def code_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take all boxes for few, which torchvision suppresses, or more than three for many, which we do."""
    if request.param == "many":
        monkeypatch.setattr(suppression, "FEW_BOXES", 3)
        monkeypatch.setattr(suppression, "WINDOW", 4)
        monkeypatch.setattr(suppression, "KEPT_AT_ONCE", 2)


SUPPRESSIONS = [(suppress, box_iou), (suppress_legacy, legacy_boxes.iou)]
# The fixture only chooses constants, which hold for all examples.
repeated = partial(given, ranked=ranked_boxes, threshold=thresholds)


@pytest.mark.usefixtures("code_path")
@pytest.mark.parametrize(("keep", "iou"), SUPPRESSIONS)
@repeated()
def test_a_box_is_suppressed_exactly_if_a_better_one_that_stays_overlaps_it_more(
    keep: Callable[[Tensor, Tensor, float], Tensor], iou: Overlap, ranked: tuple[Tensor, Tensor], threshold: float
) -> None:
    boxes_N4, rank = ranked
    scores = -rank.float()
    kept = keep(boxes_N4, scores, threshold)
    stays = torch.zeros(len(rank), dtype=torch.bool).index_fill(0, kept, True)
    better_and_over = (rank[:, None] < rank) & (iou(boxes_N4, boxes_N4) > threshold) & stays[:, None]
    assert torch.equal(stays, ~better_and_over.any(dim=0))
    assert (scores[kept].diff() < 0).all()


@pytest.mark.usefixtures("code_path")
@pytest.mark.parametrize(("keep", "iou"), SUPPRESSIONS)
@repeated()
def test_suppressing_again_changes_nothing_and_the_order_of_the_boxes_does_not_matter(
    keep: Callable[[Tensor, Tensor, float], Tensor], iou: Overlap, ranked: tuple[Tensor, Tensor], threshold: float
) -> None:
    boxes_N4, rank = ranked
    kept = keep(boxes_N4, -rank.float(), threshold)
    again = keep(boxes_N4[kept], -rank[kept].float(), threshold)
    assert again.tolist() == list(range(len(kept)))
    by_rank = rank.argsort()
    in_order = keep(boxes_N4[by_rank], -torch.arange(len(rank)).float(), threshold)
    assert torch.equal(by_rank[in_order], kept)


@pytest.mark.usefixtures("code_path")
@given(found=st.lists(boxes, min_size=1, max_size=8).map(torch.tensor), score=st.floats(-1, 1), threshold=thresholds)
def test_of_equal_boxes_with_equal_scores_the_first_one_stays(found: Tensor, score: float, threshold: float) -> None:
    count = len(found)
    twice = torch.cat([found, found])
    scores = torch.full((2 * count,), score)
    kept = suppress(twice, scores, min(threshold, 0.75))
    assert (kept < count).all()
    assert torch.equal(twice[kept], found[suppress(found, scores[:count], min(threshold, 0.75))])


@pytest.mark.usefixtures("code_path")
@given(ranked=ranked_boxes, threshold=thresholds, cuts=st.lists(st.integers(0, 24), max_size=3))
def test_runs_are_suppressed_each_by_itself(ranked: tuple[Tensor, Tensor], threshold: float, cuts: list[int]) -> None:
    boxes_N4, rank = ranked
    bounds = sorted({0, len(rank), *(cut for cut in cuts if cut < len(rank))})
    runs = list(pairwise(bounds))
    one_by_one = [suppress(boxes_N4[a:b], -rank[a:b].float(), threshold) + a for a, b in runs]
    together = suppress_runs(boxes_N4, -rank.float(), [b - a for a, b in runs], threshold)
    assert torch.equal(together, torch.cat(one_by_one))
