"""CoAE learns on INSTRE-S1 and INSTRE-S2 with two backbones: 100 epochs.

python experiments/launcher_coae_instre_train.py    # the flags of the published launcher; --list shows the jobs
"""

from experiments.paper_baselines import COAE, COAE_LEARNING, COAE_SEED, COAE_SIZES, ONE_GPU, with_seeds
from orchestration.describe import Experiment, Variant
from orchestration.script import main

RES50 = {"model.net": "res50", "init.model": "models/imagenet-caffe-resnet50-features-ac468af-converted.pth"}
RES101 = {"model.net": "res101", "init.model": "models/resnet101-5d3b4d8f.pth"}

S1 = {
    **COAE_SIZES["instre-s1"],
    "train.dataset_name": "instre-s1-train",
    "eval.dataset_names": ["instre-s1-val"],
}
S2 = {
    **COAE_SIZES["instre-s2"],
    "train.dataset_name": "instre-s2-train",
    "eval.dataset_names": ["instre-s2-val"],
}

coae_instre_train = Experiment(
    name="coae_instre_train",
    task="baselines.coae.tasks:train",
    config={
        **COAE,
        **COAE_LEARNING,
        "train.epochs": 100,
        "train.optim.milestones": [50, 75],
        "eval.iter": 1,
        "eval.class_image_augmentation": "rotation90",
    },
    variants=[
        Variant(
            "coae.0.instre-s1-train_res101_initPytorch_query192_scale492_ms", S1 | RES101, tags={"arch": "ResNet101"}
        ),
        Variant("coae.1.instre-s1-train_res50_initCaffe2_query192_scale492_ms", S1 | RES50, tags={"arch": "ResNet50"}),
        Variant(
            "coae.2.instre-s2-train_res101_initPytorch_query192_scale421_ms", S2 | RES101, tags={"arch": "ResNet101"}
        ),
        Variant("coae.3.instre-s2-train_res50_initCaffe2_query192_scale421_ms", S2 | RES50, tags={"arch": "ResNet50"}),
    ],
    seeds=[COAE_SEED],
    trial_name="{variant}",
    tags={"system": "coae"},
    resources=ONE_GPU,
)


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published jobs, or the same with several seeds."""
    return [with_seeds(coae_instre_train, seeds)]


if __name__ == "__main__":
    main(__file__)
