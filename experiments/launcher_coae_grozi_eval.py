"""The best CoAE of GroZi-3.2k on the five retail test sets: a row of Table 3 of the OS2D paper.

python experiments/launcher_coae_grozi_eval.py    # the flags of the published launcher; --list shows the jobs
"""

from collections.abc import Mapping

from experiments.launcher_coae_grozi_train import coae_grozi_train
from experiments.paper_baselines import COAE, COAE_SEED, COAE_SIZES, ONE_GPU, with_seeds
from orchestration.describe import Experiment, Need, Variant
from orchestration.script import main

GROZI, RETAIL = COAE_SIZES["grozi"], COAE_SIZES["retail"]

SIZE_AND_VIEWS: Mapping[str, Mapping[str, object]] = {
    "grozi-val-new-cl": GROZI,
    "grozi-val-old-cl": GROZI,
    "dairy": RETAIL,
    "paste-v": RETAIL,
    "paste-f": {**RETAIL, "eval.class_image_augmentation": "rotation90"},
}

coae_grozi_eval = Experiment(
    name="coae_grozi_eval",
    task="baselines.coae.tasks:evaluate",
    config={**COAE, "model.net": "res101"},
    variants=[
        Variant(f"coae.{data}.res101", {**settings, "eval.dataset_names": [data]}, tags={"data": data})
        for data, settings in SIZE_AND_VIEWS.items()
    ],
    needs={"model": Need(coae_grozi_train)},
    seeds=[COAE_SEED],
    trial_name="{variant}",
    tags={"system": "coae", "model": "train", "arch": "ResNet101"},
    resources=ONE_GPU,
)


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published jobs, or the same with several seeds."""
    return [with_seeds(coae_grozi_eval, seeds)]


if __name__ == "__main__":
    main(__file__)
