"""Retrieval networks learn to tell the objects of INSTRE-S1 and INSTRE-S2 apart.

python experiments/launcher_retrieval_instre.py    # the flags of the published launcher; --list shows the jobs
"""

from experiments.paper_baselines import (
    CAFFE2_RESNET50,
    CAFFE2_RESNET101,
    LANDMARKS_WHITENING,
    LEARNED,
    ONE_GPU,
    RANDOM_WHITENING,
    RETRIEVAL,
    instre_pictures,
    with_seeds,
)
from orchestration.describe import Experiment, Need, Variant
from orchestration.script import main

FROM_S1, FROM_S2 = "instre-s1-train-retrieval-rndCropPerImage10", "instre-s2-train-retrieval-rndCropPerImage10"
S1 = {"data.train": FROM_S1, "data.tests": ["instre-s1-val-retrieval-rndCropPerImage10"]}
S2 = {"data.train": FROM_S2, "data.tests": ["instre-s2-val-retrieval-rndCropPerImage10"]}

R50 = CAFFE2_RESNET50 | RANDOM_WHITENING
R101 = CAFFE2_RESNET101 | LANDMARKS_WHITENING
IS_R50, IS_R101 = {"arch": "ResNet50"}, {"arch": "ResNet101"}

S1_PICTURES = {"data": Need(instre_pictures, "instre-s1")}
S2_PICTURES = {"data": Need(instre_pictures, "instre-s2")}

retrieval_instre = Experiment(
    name="retrieval_instre",
    task="baselines.detector_retrieval.tasks:retrieval_train",
    config=RETRIEVAL,
    variants=[
        Variant(f"ret-instre-0.{FROM_S1}_resnet50_gem_whiten_{LEARNED}", S1 | R50, IS_R50, needs=S1_PICTURES),
        Variant(f"ret-instre-1.{FROM_S1}_resnet101_gem_whiten_{LEARNED}", S1 | R101, IS_R101, needs=S1_PICTURES),
        Variant(f"ret-instre-2.{FROM_S2}_resnet50_gem_whiten_{LEARNED}", S2 | R50, IS_R50, needs=S2_PICTURES),
        Variant(f"ret-instre-3.{FROM_S2}_resnet101_gem_whiten_{LEARNED}", S2 | R101, IS_R101, needs=S2_PICTURES),
    ],
    trial_name="{variant}",
    tags={"system": "retrieval"},
    resources=ONE_GPU,
)


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published jobs, or the same with several seeds."""
    return [with_seeds(retrieval_instre, seeds)]


if __name__ == "__main__":
    main(__file__)
