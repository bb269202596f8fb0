"""Trainings for Table 4 of the OS2D paper: V1 and V2 with ResNet-50 and ResNet-101 on INSTRE-S1 and INSTRE-S2.

oneshot run experiments/launcher_exp3_instre.py --launcher slurm
python ./experiments/launcher_exp3_instre.py --slurm --job-names exp3.R50.v1_instre-s1-train_seed0
"""

from experiments.paper_os2d import (
    FROM_WEAKALIGN,
    INSTRE_S1,
    INSTRE_S2,
    INSTRE_TRAINING,
    RESNET50_IMAGENET_CAFFE2,
    RESNET101_IMAGENET_CAFFE2,
    TRAINING,
    V1,
    V2,
)
from orchestration.describe import Experiment, Variant
from orchestration.script import main

DATA = [("instre-s1", INSTRE_S1), ("instre-s2", INSTRE_S2)]
RECIPES = [("v1", "V1-train", V1), ("v2", "V2-train", V2 | FROM_WEAKALIGN)]
NETWORKS = [("R50", RESNET50_IMAGENET_CAFFE2), ("R101", RESNET101_IMAGENET_CAFFE2)]


def instre_trainings(seeds: int = 1) -> Experiment:
    """Return the trainings."""
    return Experiment(
        name="exp3_instre",
        task="os2d.tasks:train",
        config=TRAINING,
        variants=[
            Variant(
                f"exp3.{depth}.{version}_{data}-train",
                recipe | network | settings,
                tags={"model": model, "arch": network["model.backbone_arch"], "data": f"{data}-val"},
            )
            for data, settings in DATA
            for version, model, recipe in RECIPES
            for depth, network in NETWORKS
        ],
        seeds=range(seeds),
        resources=INSTRE_TRAINING,
        tags={"system": "os2d", "init": "imageNetCaffe2"},
        trial_name="{variant}_seed{seed}",
    )


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published trainings with one seed or several."""
    return [instre_trainings(seeds)]


if __name__ == "__main__":
    main(__file__)
