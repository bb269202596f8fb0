"""Detector + retrieval on the five retail test sets: two rows of Table 3 of the OS2D paper.

Row ``init`` has the detector trained and the retrieval network not, and without a whitening layer.

python experiments/launcher_detret_grozi_eval.py    # the flags of the published launcher; --list shows the jobs
"""

from experiments.launcher_detector_train import detector_train
from experiments.launcher_retrieval_grozi import FROM, retrieval_grozi
from experiments.paper_baselines import (
    JOINT,
    JOINT_SEED,
    LEARNED,
    ONE_GPU,
    R101,
    joint_detector,
    untrained_retrieval,
    with_seeds,
)
from orchestration.describe import Experiment, Need, Variant
from orchestration.script import main

SCALE_AND_VIEWS: dict[str, dict[str, object]] = {
    "grozi-val-new-cl": {"eval.dataset_scales": [1280.0]},
    "grozi-val-old-cl": {"eval.dataset_scales": [1280.0]},
    "dairy": {"eval.dataset_scales": [3500.0]},
    "paste-v": {"eval.dataset_scales": [3500.0]},
    "paste-f": {"eval.dataset_scales": [3500.0], "eval.class_image_augmentation": "rotation90"},
}
NETWORKS = {
    "train": Need(retrieval_grozi, f"ret-grozi-2.{FROM}_resnet101_gem_whiten_{LEARNED}"),
    "init": Need(untrained_retrieval),
}

detret_grozi_eval = Experiment(
    name="detret_grozi_eval",
    task="baselines.detector_retrieval.tasks:joint_evaluate",
    config=JOINT | joint_detector(R101),
    variants=[
        Variant(
            f"eval_grozi.{data}.{model}",
            {**settings, "eval.dataset_names": [data]},
            tags={"model": model, "data": data},
            needs={"retrieval": network},
        )
        for data, settings in SCALE_AND_VIEWS.items()
        for model, network in NETWORKS.items()
    ],
    needs={"detector": Need(detector_train, "exp0003-R-101-noCl-grozi")},
    seeds=[JOINT_SEED],
    trial_name="{variant}",
    tags={"system": "detret", "arch": "ResNet101"},
    resources=ONE_GPU,
)


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published jobs, or the same with several seeds."""
    return [with_seeds(detret_grozi_eval, seeds)]


if __name__ == "__main__":
    main(__file__)
