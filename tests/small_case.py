"""The smallest generated data, and the smallest network that can be trained on it."""

from pathlib import Path

from os2d.data.shelf.parameters import ShelfParameters
from os2d.data.shelf.store import draw_shelf

SMALL_SHELF = ShelfParameters(
    train_classes=4,
    unseen_classes=3,
    distractors=2,
    train_images=5,
    val_images=2,
    image_size=112,
    class_image_size=48,
    objects=(2, 3),
    product_px=(24.0, 36.0),
)

SMALL_NETWORK = {
    "is_cuda": False,
    "model.backbone_arch": "ResNet18",
    "model.backbone_cut": "layer1",
    "model.template_grid": 7,
    "model.template_border": 1,
    "model.class_image_size": 32,
    "model.transform_net.kernel_sizes": [3, 3, 3],
    "model.transform_net.channels": [8, 8],
}
"""Configuration key -> value."""


def draw_small_shelf(folder: Path) -> Path:
    """Draw the data and return its folder."""
    draw_shelf(folder, SMALL_SHELF)
    return folder
