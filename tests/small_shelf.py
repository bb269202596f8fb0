"""The smallest generated data on which the small networks of the tests can be trained."""

from os2d.data.shelf.parameters import ShelfParameters

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
