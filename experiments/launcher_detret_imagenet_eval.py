"""Detector + retrieval on the 500 episodes of RepMet: the row of the ImageNet appendix of the OS2D paper.

A job evaluates 50 episodes in one process; metrics carry the full name of their episode.

python experiments/launcher_detret_imagenet_eval.py    # the flags of the published launcher; --list shows the jobs
"""

from experiments.launcher_detector_train_imagenet import detector_train_imagenet
from experiments.launcher_retrieval_imagenet import retrieval_imagenet
from experiments.paper_baselines import FROM_PYTORCH, JOINT, JOINT_SEED, ONE_GPU, R101, joint_detector, with_seeds
from orchestration.describe import Experiment, Need, Variant
from orchestration.script import main

detret_imagenet_eval = Experiment(
    name="detret_imagenet_eval",
    task="baselines.detector_retrieval.tasks:joint_evaluate",
    config={
        **JOINT,
        **joint_detector(R101, FROM_PYTORCH),
        "eval.dataset_scales": [600.0],
        "eval.class_image_augmentation": "horflip",
    },
    variants=[
        Variant(
            f"eval_imagenet_repmet.{first}-{first + 49}",
            {"eval.dataset_names": [f"imagenet-repmet-test-episode-{first + i}" for i in range(50)]},
        )
        for first in range(0, 500, 50)
    ],
    needs={"detector": Need(detector_train_imagenet), "retrieval": Need(retrieval_imagenet)},
    seeds=[JOINT_SEED],
    trial_name="{variant}",
    tags={"system": "detret", "model": "train", "arch": "ResNet101", "data": "imagenet-repmet"},
    resources=ONE_GPU,
)


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published jobs, or the same with several seeds."""
    return [with_seeds(detret_imagenet_eval, seeds)]


if __name__ == "__main__":
    main(__file__)
