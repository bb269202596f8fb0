import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from os2d.structures.affine import BoxTransform
from os2d.structures.sizes import Size

scales = st.floats(0.1, 10) | st.floats(-10, -0.1)
shifts = st.floats(-1000, 1000)
transforms = st.builds(BoxTransform, scales, scales, shifts, shifts)
BOXES = torch.tensor([[10.0, 20.0, 50.0, 90.0], [-5.0, 0.0, 400.0, 3.0]])
CORNERS = torch.tensor([[1.0, 2.0, 30.0, 4.0, 5.0, 60.0, 7.0, 80.0]])


@given(transforms)
def test_inverse_brings_boxes_and_corners_back(transform: BoxTransform) -> None:
    back = transform.inverse()
    torch.testing.assert_close(back.apply(transform.apply(BOXES)), BOXES, atol=2e-2, rtol=1e-4)
    corners = back.apply_corners(transform.apply_corners(CORNERS))
    torch.testing.assert_close(corners, CORNERS, atol=2e-2, rtol=1e-4)


@given(transforms, transforms)
def test_then_is_one_after_the_other(first: BoxTransform, second: BoxTransform) -> None:
    both = first.then(second)
    torch.testing.assert_close(both.apply(BOXES), second.apply(first.apply(BOXES)), atol=2e-2, rtol=1e-4)


@given(transforms)
def test_mapped_boxes_keep_the_order_of_their_corners(transform: BoxTransform) -> None:
    mapped = transform.apply(BOXES)
    assert (mapped[:, 2:] >= mapped[:, :2]).all()


def test_mirroring_swaps_the_sides() -> None:
    assert BoxTransform.mirror_x(100).apply(BOXES[:1]).tolist() == [[50.0, 20.0, 90.0, 90.0]]
    assert BoxTransform.mirror_y(100).apply(BOXES[:1]).tolist() == [[10.0, 10.0, 50.0, 80.0]]


def test_between_maps_the_whole_image_to_the_whole_image() -> None:
    transform = BoxTransform.between(Size(40, 30), Size(80, 90))
    assert transform.apply(torch.tensor([0.0, 0.0, 40.0, 30.0])).tolist() == [0.0, 0.0, 80.0, 90.0]


def test_crop_moves_its_corner_to_the_origin() -> None:
    assert BoxTransform.crop(10, 20).apply(BOXES[:1]).tolist() == [[0.0, 0.0, 40.0, 70.0]]


def test_a_scale_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be undone"):
        BoxTransform(scale_x=0.0)
