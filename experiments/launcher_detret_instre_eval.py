"""Detector + retrieval on the test classes of INSTRE: two rows of Table 4 of the OS2D paper.

python experiments/launcher_detret_instre_eval.py    # the flags of the published launcher; --list shows the jobs
"""

from experiments.launcher_detector_train import detector_train
from experiments.launcher_retrieval_instre import FROM_S1, FROM_S2, retrieval_instre
from experiments.paper_baselines import JOINT, JOINT_SEED, LEARNED, ONE_GPU, R50, R101, joint_detector, with_seeds
from orchestration.describe import Experiment, Need, Variant
from orchestration.script import main

S1 = {"eval.dataset_names": ["instre-s1-test"], "eval.dataset_scales": [700.0]}
S2 = {"eval.dataset_names": ["instre-s2-test"], "eval.dataset_scales": [600.0]}

detret_instre_eval = Experiment(
    name="detret_instre_eval",
    task="baselines.detector_retrieval.tasks:joint_evaluate",
    config=JOINT | {"eval.class_image_augmentation": "rotation90"},
    variants=[
        Variant(
            "eval_instre.instre-s1-test.resnet50",
            S1 | joint_detector(R50),
            tags={"arch": "ResNet50", "data": "instre-s1-test"},
            needs={
                "detector": Need(detector_train, "exp0001-R-50-noCl-instre-s1"),
                "retrieval": Need(retrieval_instre, f"ret-instre-0.{FROM_S1}_resnet50_gem_whiten_{LEARNED}"),
            },
        ),
        Variant(
            "eval_instre.instre-s1-test.resnet101",
            S1 | joint_detector(R101),
            tags={"arch": "ResNet101", "data": "instre-s1-test"},
            needs={
                "detector": Need(detector_train, "exp0004-R-101-noCl-instre-s1"),
                "retrieval": Need(retrieval_instre, f"ret-instre-1.{FROM_S1}_resnet101_gem_whiten_{LEARNED}"),
            },
        ),
        Variant(
            "eval_instre.instre-s2-test.resnet50",
            S2 | joint_detector(R50),
            tags={"arch": "ResNet50", "data": "instre-s2-test"},
            needs={
                "detector": Need(detector_train, "exp0002-R-50-noCl-instre-s2"),
                "retrieval": Need(retrieval_instre, f"ret-instre-2.{FROM_S2}_resnet50_gem_whiten_{LEARNED}"),
            },
        ),
        Variant(
            "eval_instre.instre-s2-test.resnet101",
            S2 | joint_detector(R101),
            tags={"arch": "ResNet101", "data": "instre-s2-test"},
            needs={
                "detector": Need(detector_train, "exp0005-R-101-noCl-instre-s2"),
                "retrieval": Need(retrieval_instre, f"ret-instre-3.{FROM_S2}_resnet101_gem_whiten_{LEARNED}"),
            },
        ),
    ],
    seeds=[JOINT_SEED],
    trial_name="{variant}",
    tags={"system": "detret", "model": "train"},
    resources=ONE_GPU,
)


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published jobs, or the same with several seeds."""
    return [with_seeds(detret_instre_eval, seeds)]


if __name__ == "__main__":
    main(__file__)
