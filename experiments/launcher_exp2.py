"""Table 2 of the OS2D paper: where the features come from, on GroZi-3.2k.

Ten initialisations of the backbone, each trained as V1 and as V2, without mining.

    oneshot run experiments/launcher_exp2.py --launcher slurm
    python ./experiments/launcher_exp2.py --slurm --job-indices 7
"""

from experiments.paper_os2d import (
    FROM_WEAKALIGN,
    GROZI_TRAINING,
    RESNET50,
    RESNET50_IMAGENET_CAFFE2,
    RESNET101,
    RESNET101_IMAGENET_CAFFE2,
    TRAINING,
    V1,
    V2,
)
from orchestration.describe import Experiment, Variant
from orchestration.script import main

INITIALISATIONS = [
    ("fromScratch", RESNET50 | {"init.model": ""}),  # empty: random weights, on purpose
    ("imageNetPth", RESNET50 | {"init.model": "models/resnet50-19c8e357.pth"}),
    ("imageNetCaffe2", RESNET50_IMAGENET_CAFFE2),
    (
        "imageNetCaffe2GroupNorm",
        RESNET50 | {"init.model": "models/resnet50_caffe2_groupnorm.pth", "model.use_group_norm": True},
    ),
    (
        "cocoMaskrcnnFpn",
        RESNET50 | {"init.model": "models/maskrcnn-benchmark/e2e_mask_rcnn_R_50_FPN_1x_converted.pth"},
    ),
    ("imageNetPth", RESNET101 | {"init.model": "models/resnet101-5d3b4d8f.pth"}),
    ("imageNetCaffe2", RESNET101_IMAGENET_CAFFE2),
    ("buildingsCirtorch", RESNET101 | {"init.model": "models/gl18-tl-resnet101-gem-w-a4d43db-converted.pth"}),
    (
        "cocoMaskrcnnFpn",
        RESNET101 | {"init.model": "models/maskrcnn-benchmark/e2e_mask_rcnn_R_101_FPN_1x_converted.pth"},
    ),
    ("pascalWeakalign", RESNET101 | {"init.model": "models/weakalign_resnet101_affine_tps.pth.tar"}),
]

RECIPES = [("v1", "V1-train", V1), ("v2", "V2-train", V2 | FROM_WEAKALIGN)]


def initialisations(seeds: int = 1) -> Experiment:
    """Return the trainings."""
    return Experiment(
        name="exp2",
        task="os2d.tasks:train",
        config=TRAINING,
        variants=[
            Variant(
                f"exp2.{number}.{version}",
                recipe | network,
                tags={"model": model, "arch": network["model.backbone_arch"], "init": nickname},
            )
            for version, model, recipe in RECIPES
            for number, (nickname, network) in enumerate(INITIALISATIONS)
        ],
        seeds=range(seeds),
        resources=GROZI_TRAINING,
        tags={"system": "os2d", "data": "grozi-val-new-cl"},
        trial_name="{variant}_seed{seed}",
    )


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published trainings with one seed or several."""
    return [initialisations(seeds)]


if __name__ == "__main__":
    main(__file__)
