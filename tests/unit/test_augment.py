import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from os2d.data import augment
from os2d.data.augment import CUT_OFF, CropBox, CropRule, Flips
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_rule(**changes: float) -> CropRule:
    values = {"working_scale": 1.0, "scale_jitter": 0.7, "aspect_jitter": 0.9, "min_box_coverage": 0.7, **changes}
    return CropRule(patch=Size(60, 40), **values)


def make_boxes(*rows: list[float], size: Size) -> BoxList:
    fields = {"labels": torch.arange(len(rows)), "difficult": torch.zeros(len(rows), dtype=torch.bool)}
    return BoxList(torch.tensor(rows, dtype=torch.float32), size, fields)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 300), st.integers(20, 300))
def test_a_random_crop_lies_in_the_image_and_shows_enough_of_a_box(seed: int, w: int, h: int) -> None:
    boxes = torch.tensor([[w * 0.4, h * 0.4, w * 0.4 + 9, h * 0.4 + 8]])
    crop = augment.random_crop(Size(w, h), boxes, make_rule(), seeded(seed))
    assert 0 <= crop.left < crop.right <= w
    assert 0 <= crop.top < crop.bottom <= h
    assert augment.coverage(boxes, torch.tensor([crop]).float()).max() >= 0.7


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_scale_and_aspect_of_a_random_crop_stay_within_their_jitter(seed: int) -> None:
    crop = augment.random_crop(Size(1000, 1000), torch.zeros(0, 4), make_rule(), seeded(seed))
    assert 60 * 0.7 - 1 <= crop.size.w <= 60 / 0.7 + 1
    aspect = crop.size.w / crop.size.h
    assert 1.5 * 0.9 - 0.06 <= aspect <= 1.5 / 0.9 + 0.06


def test_random_crops_reach_every_part_of_the_image() -> None:
    crops = [augment.random_crop(Size(200, 200), torch.zeros(0, 4), make_rule(), seeded(s)) for s in range(200)]
    assert min(c.left for c in crops) < 10
    assert max(c.right for c in crops) > 190
    assert min(c.top for c in crops) < 10
    assert max(c.bottom for c in crops) > 190


def test_without_a_suitable_crop_the_top_left_patch_is_taken() -> None:
    huge = torch.tensor([[0.0, 0.0, 500.0, 500.0]])
    crop = augment.random_crop(Size(500, 500), huge, make_rule(working_scale=2.0), seeded())
    assert crop == CropBox(0, 0, 30, 20)


def test_the_fallback_patch_is_clipped_to_the_image() -> None:
    outside = torch.tensor([[90.0, 90.0, 900.0, 900.0]])
    assert augment.random_crop(Size(50, 20), outside, make_rule(), seeded()) == CropBox(0, 0, 50, 20)


def test_the_same_generator_state_gives_the_same_crop() -> None:
    boxes = torch.tensor([[10.0, 10.0, 40.0, 40.0]])
    crops = {augment.random_crop(Size(300, 200), boxes, make_rule(), seeded(5)) for _ in range(3)}
    assert len(crops) == 1


def test_boxes_are_shifted_and_judged_by_what_the_crop_shows() -> None:
    boxes = make_boxes([10, 10, 20, 20], [0, 10, 20, 20], [0, 10, 14, 20], [12, 12, 30, 18], size=Size(40, 40))
    cropped = augment.crop_boxes(boxes, CropBox(10, 5, 30, 25))
    assert cropped.boxes_xyxy.tolist() == [[0, 5, 10, 15], [-10, 5, 10, 15], [-10, 5, 4, 15], [2, 7, 20, 13]]
    assert cropped.field("labels").tolist() == [0, 1, CUT_OFF, 3]
    assert cropped.field("difficult").tolist() == [False, True, True, False]
    assert cropped.size == Size(20, 20)


def test_a_mined_crop_is_rounded_down_to_whole_pixels() -> None:
    assert augment.mined_crop(torch.tensor([18.9999, 35.75, 199.5, 224.25])) == CropBox(19, 35, 199, 224)


@pytest.mark.parametrize("flips", [Flips(), Flips(True, False), Flips(False, True), Flips(True, True)])
def test_flips_move_boxes_as_they_move_pixels(flips: Flips) -> None:
    image = Image.new("RGB", (12, 8))
    image.paste((255, 255, 255), (1, 2, 4, 7))
    moved = flips.transform(Size(12, 8)).apply(torch.tensor([[1.0, 2.0, 4.0, 7.0]]))
    assert flips(image).getbbox() == tuple(moved[0].int().tolist())


def test_colours_change_within_a_bounded_range_and_keep_the_size() -> None:
    grey = Image.new("RGB", (4, 3), (120, 120, 120))
    values = set()
    for seed in range(40):
        changed = augment.random_colours(seeded(seed))(grey)
        assert changed.size == (4, 3)
        values.add(changed.getpixel((0, 0)))
    assert len(values) > 5
    assert all(100 <= v <= 140 for pixel in values for v in pixel)


def test_every_filter_is_drawn() -> None:
    generator = seeded()
    assert {augment.random_filter(generator) for _ in range(200)} == set(augment.FILTERS)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 60))
def test_a_class_crop_is_a_large_part_of_the_class_image(seed: int, w: int, h: int) -> None:
    crop = augment.random_class_crop(Image.new("RGB", (w, h)), 0.7, 0.9, seeded(seed))
    assert 0.7 * 0.9 * w - 1 <= crop.width <= w
    assert 0.7 * 0.9 * h - 1 <= crop.height <= h
