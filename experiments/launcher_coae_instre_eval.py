"""The best CoAE of every INSTRE training on the test classes: two rows of Table 4 of the OS2D paper.

python experiments/launcher_coae_instre_eval.py    # the flags of the published launcher; --list shows the jobs
"""

from experiments.launcher_coae_instre_train import coae_instre_train
from experiments.paper_baselines import COAE, COAE_SEED, COAE_SIZES, ONE_GPU, with_seeds
from orchestration.describe import Experiment, Need, Variant
from orchestration.script import main

S1 = {**COAE_SIZES["instre-s1"], "eval.dataset_names": ["instre-s1-test"]}
S2 = {**COAE_SIZES["instre-s2"], "eval.dataset_names": ["instre-s2-test"]}
RES50, RES101 = {"model.net": "res50"}, {"model.net": "res101"}

coae_instre_eval = Experiment(
    name="coae_instre_eval",
    task="baselines.coae.tasks:evaluate",
    config={**COAE, "eval.class_image_augmentation": "rotation90"},
    variants=[
        Variant(
            "coae.instre-s1-test.res101",
            S1 | RES101,
            tags={"arch": "ResNet101", "data": "instre-s1-test"},
            needs={
                "model": Need(coae_instre_train, "coae.0.instre-s1-train_res101_initPytorch_query192_scale492_ms"),
            },
        ),
        Variant(
            "coae.instre-s1-test.res50",
            S1 | RES50,
            tags={"arch": "ResNet50", "data": "instre-s1-test"},
            needs={
                "model": Need(coae_instre_train, "coae.1.instre-s1-train_res50_initCaffe2_query192_scale492_ms"),
            },
        ),
        Variant(
            "coae.instre-s2-test.res101",
            S2 | RES101,
            tags={"arch": "ResNet101", "data": "instre-s2-test"},
            needs={
                "model": Need(coae_instre_train, "coae.2.instre-s2-train_res101_initPytorch_query192_scale421_ms"),
            },
        ),
        Variant(
            "coae.instre-s2-test.res50",
            S2 | RES50,
            tags={"arch": "ResNet50", "data": "instre-s2-test"},
            needs={
                "model": Need(coae_instre_train, "coae.3.instre-s2-train_res50_initCaffe2_query192_scale421_ms"),
            },
        ),
    ],
    seeds=[COAE_SEED],
    trial_name="{variant}",
    tags={"system": "coae", "model": "train"},
    resources=ONE_GPU,
)


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published jobs, or the same with several seeds."""
    return [with_seeds(coae_instre_eval, seeds)]


if __name__ == "__main__":
    main(__file__)
