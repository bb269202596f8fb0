"""What the classes of a network are called.

Light on purpose (no torch).
"""

from __future__ import annotations

from yacs.config import CfgNode

from baselines.onenet.data.catalog import find_source
from baselines.onenet.data.coco_file import read_coco

COCO = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)
"""By ascending category id, so that nobody needs the annotations to name what a published network finds."""

PUBLISHED = {
    "coco_2017_train": COCO,
    "coco_2017_val": COCO,
    "CrowdHuman_train": ("person",),
    "CrowdHuman_val": ("person",),
}


def class_names(config: CfgNode) -> tuple[str, ...]:
    """Return the names of the classes of ``DATASETS.TEST``; numbers where its annotations are not here or do not fit.

    Raises:
        ConfigError: the data set is unknown.
        DataError: its annotation file is broken.
    """
    count = config.MODEL.OneNet.NUM_CLASSES
    names: tuple[str, ...] = ()
    if config.DATASETS.TEST:
        source = find_source(config.DATASETS.TEST[0], config)
        if source.name in PUBLISHED:
            names = PUBLISHED[source.name]
        elif source.annotations.is_file():
            names = tuple(read_coco(source).class_names)
    return names if len(names) == count else tuple(f"class {number}" for number in range(count))
