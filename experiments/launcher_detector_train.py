"""Faster R-CNN with FPN: six detectors of objects of any class, two that tell the classes of GroZi-3.2k apart.

Those of any class are then tested at several sizes on three data sets. Numbers assume 8 GPUs; one, as published, takes
batches of 2 for eight times as long.

python experiments/launcher_detector_train.py    # the flags of the published launcher; --list shows the jobs
"""

from experiments.paper_baselines import DETECTOR_SEED, DETECTOR_SIZES, LONGER_SIDES, ONE_GPU, R50, R101, with_seeds
from orchestration.describe import Experiment, Need, Variant
from orchestration.script import main

START_R50 = {**R50, "MODEL.WEIGHT": "catalog://ImageNetPretrained/MSRA/R-50"}
START_R101 = {**R101, "MODEL.WEIGHT": "catalog://ImageNetPretrained/MSRA/R-101"}

GROZI = {
    "DATASETS.TRAIN": ("grozi-train",),
    "DATASETS.TEST": ("grozi-val-all",),
    "INPUT.MIN_SIZE_TRAIN": DETECTOR_SIZES["grozi"],
    "INPUT.MIN_SIZE_TEST": 960,
}
INSTRE_S1 = {
    "DATASETS.TRAIN": ("instre-s1-train",),
    "DATASETS.TEST": ("instre-s1-val",),
    "INPUT.MIN_SIZE_TRAIN": DETECTOR_SIZES["instre-s1"],
    "INPUT.MIN_SIZE_TEST": 420,
}
INSTRE_S2 = {
    "DATASETS.TRAIN": ("instre-s2-train",),
    "DATASETS.TEST": ("instre-s2-val",),
    "INPUT.MIN_SIZE_TRAIN": DETECTOR_SIZES["instre-s2"],
    "INPUT.MIN_SIZE_TEST": 360,
}
CLASSES = {"MODEL.ROI_BOX_HEAD.NUM_CLASSES": -1, "DATASETS.TEST": ("grozi-val-old-cl",)}

IS_R50, IS_R101 = {"arch": "ResNet50"}, {"arch": "ResNet101"}
TELLS_CLASSES = {"model": "train", "data": "grozi-val-old-cl"}

OF_ANY_CLASS = [
    Variant("exp0000-R-50-noCl-grozi", START_R50 | GROZI, IS_R50),
    Variant("exp0001-R-50-noCl-instre-s1", START_R50 | INSTRE_S1, IS_R50),
    Variant("exp0002-R-50-noCl-instre-s2", START_R50 | INSTRE_S2, IS_R50),
    Variant("exp0003-R-101-noCl-grozi", START_R101 | GROZI, IS_R101),
    Variant("exp0004-R-101-noCl-instre-s1", START_R101 | INSTRE_S1, IS_R101),
    Variant("exp0005-R-101-noCl-instre-s2", START_R101 | INSTRE_S2, IS_R101),
]

detector_train = Experiment(
    name="detector_train",
    task="baselines.detector_retrieval.tasks:detector_train",
    config=LONGER_SIDES,
    variants=[
        *OF_ANY_CLASS,
        Variant("exp0006-R-50-withCl-grozi", START_R50 | GROZI | CLASSES, IS_R50 | TELLS_CLASSES),
        Variant("exp0007-R-101-withCl-grozi", START_R101 | GROZI | CLASSES, IS_R101 | TELLS_CLASSES),
    ],
    seeds=[DETECTOR_SEED],
    trial_name="{variant}",
    tags={"system": "detector"},
    resources=ONE_GPU,
)

TESTS = {
    "grozi": ("grozi-val-all",),
    "instre-s1": ("instre-s1-val", "instre-s1-test"),
    "instre-s2": ("instre-s2-val", "instre-s2-test"),
}

multiscale_tests = Experiment(
    name="detector_train-multiscale",
    task="baselines.detector_retrieval.tasks:detector_evaluate",
    config=LONGER_SIDES,
    variants=[
        Variant(
            f"{trained.name}.test-{data}",
            {
                **trained.config,
                "MODEL.WEIGHT": "",
                "DATASETS.TEST": names,
                "TEST.BBOX_AUG.ENABLED": True,
                "TEST.BBOX_AUG.SCALES": DETECTOR_SIZES[data],
            },
            tags={**trained.tags, "model": "train", "data": data},
            needs={"detector": Need(detector_train, trained.name)},
        )
        for trained in OF_ANY_CLASS
        for data, names in TESTS.items()
    ],
    seeds=[DETECTOR_SEED],
    trial_name="{variant}",
    tags={"system": "detector"},
    resources=ONE_GPU,
)


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published jobs, or the same with several seeds."""
    return [with_seeds(detector_train, seeds), with_seeds(multiscale_tests, seeds)]


if __name__ == "__main__":
    main(__file__)
