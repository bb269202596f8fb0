import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from os2d.structures.sizes import Size, scaled_to_area

sides = st.integers(1, 5000)


def test_size_of_an_image_and_of_a_tensor_agree() -> None:
    assert Size.of_image(Image.new("RGB", (30, 20))) == Size.of_tensor(torch.zeros(3, 20, 30)) == Size(w=30, h=20)


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [(Size(100, 100), 240, Size(240, 240)), (Size(320, 240), 352, Size(406, 304)), (Size(10000, 1), 5, Size(500, 1))],
)
def test_scaled_to_area_of_known_sizes(size: Size, side: float, expected: Size) -> None:
    assert scaled_to_area(size, side) == expected


@given(sides, sides, st.floats(50, 2000))
def test_scaled_to_area_keeps_the_area_from_above(w: int, h: int, side: float) -> None:
    scaled = scaled_to_area(Size(w, h), side)
    assert min(scaled) >= 1
    assert scaled.w * scaled.h <= side**2 * (1 + 1e-9) or 1 in scaled
    assert (scaled.w + 1) * (scaled.h + 1) >= side**2 * (1 - 1e-9)


def test_scaled_rounds_down_and_never_vanishes() -> None:
    assert Size(7, 1).scaled(0.5) == Size(3, 1)
