"""CoAE learns on GroZi-3.2k: 2000 epochs, validated on unseen classes.

python experiments/launcher_coae_grozi_train.py    # the flags of the published launcher; --list shows the jobs
"""

from experiments.paper_baselines import COAE, COAE_LEARNING, COAE_SEED, COAE_SIZES, ONE_GPU, with_seeds
from orchestration.describe import Experiment, Variant
from orchestration.script import main

coae_grozi_train = Experiment(
    name="coae_grozi_train",
    task="baselines.coae.tasks:train",
    config={
        **COAE,
        **COAE_SIZES["grozi"],
        **COAE_LEARNING,
        "train.dataset_name": "grozi-train",
        "train.epochs": 2000,
        "train.optim.milestones": [1000, 1500],
        "eval.dataset_names": ["grozi-val-new-cl"],
        "eval.iter": 10,
    },
    variants=[
        Variant(
            "coae.0.res101_initPytorch_query192_scale900_ms",
            {"model.net": "res101", "init.model": "models/resnet101-5d3b4d8f.pth"},
            tags={"arch": "ResNet101"},
        ),
    ],
    seeds=[COAE_SEED],
    trial_name="{variant}",
    tags={"system": "coae"},
    resources=ONE_GPU,
)


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published jobs, or the same with several seeds."""
    return [with_seeds(coae_grozi_train, seeds)]


if __name__ == "__main__":
    main(__file__)
