"""Faster R-CNN with FPN for objects of any class, learned on ImageNet without the test classes of RepMet.

It starts from a ResNet-101 that has not seen those classes either, which nobody publishes: ``oneshot plan`` tells how
to make it.

python experiments/launcher_detector_train_imagenet.py    # the flags of the published launcher; --list shows the jobs
"""

from experiments.paper_baselines import (
    DETECTOR_SEED,
    DETECTOR_SIZES,
    FROM_PYTORCH,
    LONGER_SIDES,
    ONE_GPU,
    R101,
    with_seeds,
)
from orchestration.describe import Experiment, Need, Variant
from orchestration.script import main

IMAGENET = {
    **R101,
    **FROM_PYTORCH,
    **LONGER_SIDES,
    "DATASETS.TRAIN": ("imagenet-repmet-train",),
    "DATASETS.TEST": ("imagenet-repmet-val-5000",),
    "INPUT.MIN_SIZE_TRAIN": DETECTOR_SIZES["imagenet"],
    "INPUT.MIN_SIZE_TEST": 450,
    "SOLVER.VALIDATION_PERIOD": 5000,
}
NAME = "exp-R-101-imagenet-repmet-imagenet-repmet-pytorch"

detector_train_imagenet = Experiment(
    name="detector_train_imagenet",
    task="baselines.detector_retrieval.tasks:detector_train",
    config=IMAGENET,
    variants=[
        Variant(
            NAME,
            {"MODEL.WEIGHT": "data/ImageNet-RepMet/pretrain/output/resnet101/model_best_maskrcnnbenchmark.pth.tar"},
        ),
    ],
    seeds=[DETECTOR_SEED],
    trial_name="{variant}",
    tags={"system": "detector", "arch": "ResNet101"},
    resources=ONE_GPU,
)

multiscale_test = Experiment(
    name="detector_train_imagenet-multiscale",
    task="baselines.detector_retrieval.tasks:detector_evaluate",
    config=IMAGENET,
    variants=[
        Variant(
            f"{NAME}.test-imagenet-repmet",
            {"TEST.BBOX_AUG.ENABLED": True, "TEST.BBOX_AUG.SCALES": DETECTOR_SIZES["instre-s2"]},
        ),
    ],
    needs={"detector": Need(detector_train_imagenet)},
    seeds=[DETECTOR_SEED],
    trial_name="{variant}",
    tags={"system": "detector", "model": "train", "arch": "ResNet101", "data": "imagenet-repmet-val-5000"},
    resources=ONE_GPU,
)


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published jobs, or the same with several seeds."""
    return [with_seeds(detector_train_imagenet, seeds), with_seeds(multiscale_test, seeds)]


if __name__ == "__main__":
    main(__file__)
