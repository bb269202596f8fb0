"""Retrieval networks learn to tell the products of GroZi-3.2k apart, with and without a whitening layer.

python experiments/launcher_retrieval_grozi.py    # the flags of the published launcher; --list shows the jobs
"""

from experiments.paper_baselines import (
    CAFFE2_RESNET50,
    CAFFE2_RESNET101,
    GROZI_PICTURES,
    LANDMARKS_WHITENING,
    LEARNED,
    ONE_GPU,
    RANDOM_WHITENING,
    RETRIEVAL,
    grozi_pictures,
    with_seeds,
)
from orchestration.describe import Experiment, Need, Variant
from orchestration.script import main

FROM = "grozi-train-retrieval-rndCropPerImage10"

RESNET50, RESNET101 = {"arch": "ResNet50"}, {"arch": "ResNet101"}

retrieval_grozi = Experiment(
    name="retrieval_grozi",
    task="baselines.detector_retrieval.tasks:retrieval_train",
    config=RETRIEVAL | GROZI_PICTURES,
    variants=[
        Variant(f"ret-grozi-0.{FROM}_resnet50_gem_whiten_{LEARNED}", CAFFE2_RESNET50 | RANDOM_WHITENING, RESNET50),
        Variant(f"ret-grozi-1.{FROM}_resnet50_gem_{LEARNED}", CAFFE2_RESNET50, RESNET50),
        Variant(
            f"ret-grozi-2.{FROM}_resnet101_gem_whiten_{LEARNED}", CAFFE2_RESNET101 | LANDMARKS_WHITENING, RESNET101
        ),
        Variant(f"ret-grozi-3.{FROM}_resnet101_gem_{LEARNED}", CAFFE2_RESNET101, RESNET101),
    ],
    needs={"data": Need(grozi_pictures)},
    trial_name="{variant}",
    tags={"system": "retrieval"},
    resources=ONE_GPU,
)


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published jobs, or the same with several seeds."""
    return [with_seeds(retrieval_grozi, seeds)]


if __name__ == "__main__":
    main(__file__)
