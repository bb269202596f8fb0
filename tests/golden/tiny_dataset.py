"""The tiny data set of the golden cases, as the evaluation and the mining of the reference saw it."""

from pathlib import Path

from golden_cases import Case
from yacs.config import CfgNode

from os2d.config import default_config
from os2d.data.annotation import read_annotation
from os2d.data.catalog import find_dataset
from os2d.data.dataset import DatasetOneShotDetection
from os2d.data.table import frame_of

TINY_DATASET = "os2d/tiny_dataset"


def config_of(case: Case) -> CfgNode:
    """The defaults with the changes that the case names, on the CPU."""
    config = default_config()
    config.is_cuda = False
    config.runtime.num_workers = 0
    config.merge_from_list([part for key, value in case.meta["config"].items() for part in (key, value)])
    return config


def evaluated_dataset(data_root: Path, case: Case) -> DatasetOneShotDetection:
    """The subset with unseen classes, with the nominal image size of the case in place of grozi's."""
    source = find_dataset("grozi-val-new-cl", data_root)
    annotation = read_annotation(source)
    return DatasetOneShotDetection(
        frame_of(annotation.rows),
        source.class_images,
        source.images,
        source.name,
        case.meta["image_size"],
        image_ids=annotation.image_ids,
        image_file_names=list(annotation.file_of_image.values()),
    )
