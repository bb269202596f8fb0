import io
import itertools

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from os2d.data.normalisation import to_image, to_tensor
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size
from os2d.visualization.detection_grid import LARGEST_SIDE_PX, GridRow, _hits, _shrunk, detection_grid
from os2d.visualization.panel import Captions, _overlap

SIZE = Size(160, 120)
BOX = [20.0, 10.0, 80.0, 90.0]


def row(with_corners: bool = True) -> GridRow:
    fields = {"labels": torch.tensor([4, 5]), "scores": torch.tensor([0.9, 0.1])}
    if with_corners:
        fields["transform_corners"] = torch.tensor([[20.0, 20, 70, 10, 30, 90, 80, 80]]).repeat(2, 1)
    found = BoxList(torch.tensor([BOX, BOX]), SIZE, fields)
    truth = BoxList(torch.tensor([BOX]), SIZE, {"labels": torch.tensor([4]), "difficult": torch.tensor([False])})
    classes = {4: Image.new("RGB", (30, 40), "white"), 5: Image.new("RGB", (40, 30), "blue")}
    return GridRow("image 7", Image.new("RGB", SIZE, "gray"), truth, found, classes)


def drawn(rows: list[GridRow]) -> np.ndarray:
    file = io.BytesIO()
    detection_grid(rows).savefig(file, format="png")
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


def test_boxes_alignment_and_ground_truth_are_drawn() -> None:
    pixels = drawn([row(), row()])
    yellow = (pixels[..., 0] > 220) & (pixels[..., 1] > 220) & (pixels[..., 2] < 60)
    assert yellow.sum() > 500
    without = drawn([row(with_corners=False), row(with_corners=False)])
    assert pixels.shape == without.shape
    assert (pixels != without).any()


def test_a_grid_without_images_can_be_drawn() -> None:
    assert drawn([]).size > 0


def test_a_detection_hits_a_box_of_its_class_only() -> None:
    assert _hits(row().detections, row().ground_truth) == [True, False]


def test_large_images_shrink_with_everything_on_them() -> None:
    large = Size(1600, 1200)
    original = row()
    big = GridRow(
        "image 7",
        original.image.resize(large),
        original.ground_truth.resized(large),
        original.detections.resized(large).with_field(
            "transform_corners", original.detections.field("transform_corners") * 10
        ),
        original.class_images,
    )
    small = _shrunk(big)
    factor = LARGEST_SIDE_PX / 160
    assert max(small.image.size) == LARGEST_SIDE_PX
    expected = torch.tensor(BOX) * factor
    torch.testing.assert_close(small.ground_truth.boxes_xyxy[0], expected)
    torch.testing.assert_close(small.detections.boxes_xyxy[0], expected)
    torch.testing.assert_close(small.detections.field("transform_corners")[0, :2], torch.tensor([20.0, 20]) * factor)


def test_normalised_pixels_become_the_picture_they_came_from() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    restored = to_image(to_tensor(Image.fromarray(pixels), mean, std), mean, std)
    assert np.array_equal(np.asarray(restored), pixels)


def test_captions_of_boxes_in_one_place_do_not_cover_each_other() -> None:
    axes = Figure().add_axes((0, 0, 1, 1))
    captions = Captions(axes, Size(600, 400), pixels_per_inch=100)
    for k in range(8):
        captions.write([100, 100, 300, 300], f"Cl {k}: 0.1234", "yellow")
    places = captions._taken
    assert all(_overlap(a, b) == 0 for a, b in itertools.combinations(places, 2))
    assert all(x1 >= 0 and x2 <= 600 and y1 >= 0 and y2 <= 400 for x1, y1, x2, y2 in places)


def test_captions_of_boxes_outside_the_image_stay_inside() -> None:
    axes = Figure().add_axes((0, 0, 1, 1))
    captions = Captions(axes, Size(600, 400), pixels_per_inch=100)
    captions.write([-200, -200, -100, -100], "Cl 1: 0.1234", "yellow")
    captions.write([700, 500, 800, 600], "Cl 2: 0.1234", "yellow")
    assert all(x1 >= 0 and x2 <= 600 and y1 >= 0 and y2 <= 400 for x1, y1, x2, y2 in captions._taken)
