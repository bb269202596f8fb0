import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from os2d.structures.boxes import BoxList, box_intersection, box_iou, clip, has_area, paired_iou
from os2d.structures.sizes import Size

coordinates = st.tuples(st.floats(-100, 100), st.floats(-100, 100), st.floats(1, 100), st.floats(1, 100))


def make_boxes(rows: list[tuple[float, float, float, float]]) -> torch.Tensor:
    return torch.tensor([[x, y, x + w, y + h] for x, y, w, h in rows])


@pytest.fixture
def boxes() -> BoxList:
    coordinates_xyxy = torch.tensor([[0.0, 0.0, 10.0, 20.0], [5.0, 5.0, 15.0, 25.0], [1.0, 1.0, 2.0, 2.0]])
    return BoxList(coordinates_xyxy, Size(40, 30), {"labels": torch.tensor([3, 1, 2])})


@given(st.lists(coordinates, min_size=1, max_size=6))
def test_paired_iou_is_the_diagonal_of_the_iou_matrix(rows: list[tuple[float, float, float, float]]) -> None:
    first, second = make_boxes(rows), make_boxes(rows[::-1])
    torch.testing.assert_close(paired_iou(first, second), box_iou(first, second).diagonal(), atol=1e-5, rtol=1e-5)


@given(st.lists(coordinates, min_size=1, max_size=6))
def test_intersection_with_itself_is_the_area(rows: list[tuple[float, float, float, float]]) -> None:
    boxes = make_boxes(rows)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    torch.testing.assert_close(box_intersection(boxes, boxes).diagonal(), areas)


def test_clip_cuts_to_the_image_and_may_leave_no_area() -> None:
    clipped = clip(torch.tensor([[-5.0, -5.0, 50.0, 10.0], [41.0, 0.0, 60.0, 10.0]]), Size(40, 30))
    assert clipped.tolist() == [[0.0, 0.0, 40.0, 10.0], [40.0, 0.0, 40.0, 10.0]]
    assert has_area(clipped).tolist() == [True, False]


def test_selecting_boxes_selects_their_fields(boxes: BoxList) -> None:
    chosen = boxes[boxes.field("labels") > 1]
    assert chosen.field("labels").tolist() == [3, 2]
    assert len(chosen) == 2
    assert chosen.size == boxes.size


def test_resized_scales_each_axis(boxes: BoxList) -> None:
    resized = boxes.resized(Size(80, 15))
    assert resized.boxes_xyxy[0].tolist() == [0.0, 0.0, 20.0, 10.0]
    assert resized.size == Size(80, 15)
    assert resized.field("labels") is boxes.field("labels")


def test_cat_of_slices_is_the_whole(boxes: BoxList) -> None:
    joined = BoxList.cat([boxes[:1], boxes[1:]])
    assert torch.equal(joined.boxes_xyxy, boxes.boxes_xyxy)
    assert torch.equal(joined.field("labels"), boxes.field("labels"))


def test_cat_refuses_boxes_of_different_frames(boxes: BoxList) -> None:
    with pytest.raises(ValueError, match="cannot join"):
        BoxList.cat([boxes, boxes.resized(Size(4, 3))])


def test_a_field_of_the_wrong_length_is_refused(boxes: BoxList) -> None:
    with pytest.raises(ValueError, match="one per box"):
        boxes.with_field("scores", torch.zeros(2))


def test_whole_number_coordinates_are_refused() -> None:
    with pytest.raises(ValueError, match="floating point"):
        BoxList(torch.tensor([[0, 0, 1, 1]]), Size(4, 3))
