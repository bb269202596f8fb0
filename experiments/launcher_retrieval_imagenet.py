"""A retrieval network learns on ImageNet without the test classes of RepMet.

It starts from a ResNet-101 that has not seen those classes either, which nobody publishes: ``oneshot plan`` tells how
to make it.

python experiments/launcher_retrieval_imagenet.py    # the flags of the published launcher; --list shows the jobs
"""

from experiments.paper_baselines import LANDMARKS_WHITENING, LEARNED, ONE_GPU, RETRIEVAL, imagenet_pictures, with_seeds
from orchestration.describe import Experiment, Need, Variant
from orchestration.script import main

FROM = "imagenet-repmet-train-retrieval"

retrieval_imagenet = Experiment(
    name="retrieval_imagenet",
    task="baselines.detector_retrieval.tasks:retrieval_train",
    config={
        **RETRIEVAL,
        **LANDMARKS_WHITENING,
        "data.train": FROM,
        "data.tests": ["imagenet-repmet-val-5000-retrieval"],
        "network.arch": "resnet101",
        "init.network": "data/ImageNet-RepMet/pretrain/output/resnet101/model_best_cirtorch.pth.tar",
    },
    variants=[Variant(f"ret-imagenet-0.imagenet-repmet-pytorch.{FROM}_resnet101_gem_whiten_{LEARNED}")],
    needs={"data": Need(imagenet_pictures)},
    trial_name="{variant}",
    tags={"system": "retrieval", "arch": "ResNet101"},
    resources=ONE_GPU,
)


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published jobs, or the same with several seeds."""
    return [with_seeds(retrieval_imagenet, seeds)]


if __name__ == "__main__":
    main(__file__)
